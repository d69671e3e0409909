# Turns the binary file IN into a C array NAME and its size NAME_bytes, in OUT.
file(READ ${IN} hex HEX)
file(SIZE ${IN} size)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "/* Generated from a ROM source: do not edit. */
extern const unsigned char ${NAME}[${size}];
extern const unsigned int ${NAME}_bytes;
const unsigned char ${NAME}[${size}] = {
${bytes}
};
const unsigned int ${NAME}_bytes = ${size};
")
