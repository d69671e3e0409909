/*
 * test_lines.c - command lines that people have for qemu-system-i386: from manuals, distributions' scripts, operating systems' projects and
 * continuous integration. Each is either taken or refused by name with what comes nearest; nothing is ignored in silence.
 *
 * Files need not exist: what is in them is looked at later. A ' keeps blanks together.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli.h"

#define ARGS_MAX 64

/* Words at blanks, '...' is one, in place. */
static int split(char *text, char **argv)
{
    int argc = 0;

    while (argc < ARGS_MAX) {
        text += strspn(text, " ");
        if (!*text)
            break;
        if (*text == '\'') {
            argv[argc++] = ++text;
            text += strcspn(text, "'");
        } else {
            argv[argc++] = text;
            text += strcspn(text, " ");
        }
        if (!*text)
            break;
        *text++ = 0;
    }
    return argc;
}

/* NULL: taken; else a word of the cause. */
static const struct {
    const char *line, *refused;
} lines[] = {
    /* kernels by hand */
    {"-kernel bzImage -append 'console=ttyS0' -nographic", NULL},
    {"-kernel bzImage -initrd initrd.img -append 'console=ttyS0 root=/dev/ram0' -m 512 -nographic -no-reboot",
     NULL},
    {"-kernel vmlinuz -initrd i.gz -append 'console=ttyS0 panic=-1' -m 256M -display none -serial stdio "
     "-no-reboot -monitor none",
     NULL},
    {"-M pc -cpu max -m 1G -smp 1 -enable-kvm -kernel bzImage -append 'root=/dev/sda console=ttyS0' -hda "
     "rootfs.ext2 -nographic",
     NULL},
    {"-M pc -kernel bzImage -drive file=rootfs.ext2,if=virtio,format=raw -append 'rootwait root=/dev/vda "
     "console=tty1 console=ttyS0' -net nic,model=virtio -net user -nographic",
     NULL},
    {"-machine pc,accel=kvm:tcg -m 256 -kernel bzImage -nographic -S -s", NULL},
    {"-kernel mykernel.elf -serial stdio -vga std -no-reboot -no-shutdown -d int,exec -D qemu.log", NULL},
    {"-kernel mykernel.bin -device isa-debug-exit,iobase=0xf4,iosize=0x04 -display none -serial mon:stdio -m "
     "64",
     NULL},
    {"-kernel k -initrd 'mod1 arg,mod2' -append x -device isa-debug-exit,iobase=0x501,iosize=1 -debugcon "
     "stdio -display none",
     NULL},
    {"-bios bios.bin -chardev stdio,id=seabios -device isa-debugcon,iobase=0x402,chardev=seabios -display "
     "none",
     NULL},
    {"-bios OVMF.fd -net none -debugcon file:debug.log", NULL},
    /* disks, CDs, floppies */
    {"-fda boot.img -boot a -m 32", NULL},
    {"-drive format=raw,file=os.img,index=0,if=floppy -m 128M -boot a", NULL},
    {"-drive file=disk.img,format=raw,if=ide,index=0,media=disk -drive file=cd.iso,index=1,media=cdrom -boot "
     "order=dc,menu=on -m 256",
     NULL},
    {"-hda win98.img -cdrom win98.iso -boot d -m 256 -cpu pentium3 -vga std -rtc base=localtime -net "
     "nic,model=ne2k_pci -net user",
     NULL},
    {"-cdrom debian.iso -hda disk.qcow2 -m 512 -boot once=d -nic user,model=e1000,hostfwd=tcp::2222-:22",
     NULL},
    {"-drive if=none,id=hd0,file=d.img,format=raw -device virtio-blk-pci,drive=hd0,bootindex=1 -m 512", NULL},
    {"-drive file=disk.img,if=virtio,cache=none,snapshot=on -m 512 -netdev user,id=n0 -device "
     "virtio-net-pci,netdev=n0",
     NULL},
    {"-blockdev driver=file,filename=d.img,node-name=f -blockdev driver=raw,file=f,node-name=r -device "
     "ide-hd,drive=r",
     NULL},
    {"-hda disk.img -snapshot -no-fd-bootchk", NULL},
    {"-M pc,fd-bootchk=off -fda pcdos.img", NULL},
    {"-M pc,fd-bootchk=maybe -fda pcdos.img", "fd-bootchk"},
    {"disk.img -m 64", NULL},
    {"-hda a -hdb b -hdd d -cdrom c -boot order=c -m 1024", NULL},
    /* servers in the background */
    {"-name vm1 -uuid 550e8400-e29b-41d4-a716-446655440000 -m 512 -hda d.qcow2 -display none -serial "
     "file:console.log -daemonize -pidfile vm1.pid -monitor unix:vm1.mon,server,nowait",
     NULL},
    {"-name guest=vm2,debug-threads=on -S -no-user-config -nodefaults -rtc base=utc,driftfix=slew -no-hpet "
     "-no-shutdown -boot strict=on -chardev socket,id=charmonitor,path=m.sock,server=on,wait=off -mon "
     "chardev=charmonitor,id=monitor,mode=control",
     NULL},
    {"-display none -vga none -nodefaults -qmp unix:qmp.sock,server,nowait -serial unix:s.sock,server,nowait",
     NULL},
    {"-display none -chardev socket,id=mon,path=q.sock -mon chardev=mon,mode=control -chardev "
     "socket,id=console,path=c.sock,server=on,wait=off -serial chardev:console",
     NULL},
    {"-monitor telnet:127.0.0.1:4444,server,nowait -serial telnet:127.0.0.1:4445,server,nowait -display none",
     NULL},
    {"-monitor tcp:localhost:4444,server=on,wait=off -qmp tcp:localhost:4445,server=on,wait=off -display "
     "none",
     NULL},
    {"-chardev stdio,id=char0,mux=on,signal=off -serial chardev:char0 -mon chardev=char0 -display none",
     NULL},
    {"-vnc :1 -k en-us -m 512 -hda d.img", NULL},
    {"-display vnc=127.0.0.1:2 -m 512 -hda d.img -monitor stdio", NULL},
    {"-display sdl -m 64 -fda a.img", NULL},
    {"-display curses -m 64 -fda a.img", NULL},
    {"-curses -hda freedos.img", NULL},
    {"-parallel none -serial null -serial null -display none -hda d", NULL},
    {"-parallel file:printer.out -serial stdio -display none -fda dos.img", NULL},
    {"-action reboot=shutdown,shutdown=pause -action panic=none -hda d -display none", NULL},
    {"-rtc base=2000-01-01T00:00:00,clock=vm -hda win2k.img -display none", NULL},
    /* names before what they name */
    {"-device isa-debugcon,iobase=0x402,chardev=seabios -chardev file,id=seabios,path=bios.log -hda d", NULL},
    {"-device isa-debugcon,iobase=0x402,chardev=nosuch -hda d", "nosuch"},
    {"-serial chardev:c -chardev socket,id=c,path=c.sock,server=on,wait=off -hda d", NULL},
    {"-serial chardev:nosuch -hda d", "nosuch"},
    {"-mon chardev=m,mode=control -display none -chardev socket,id=m,path=m.sock,server=on,wait=off", NULL},
    {"-device virtio-blk-pci,drive=x,bootindex=1 -drive if=none,id=x,file=d,format=raw", NULL},
    {"-device ide-hd,drive=r -blockdev driver=raw,node-name=r,file=f -blockdev driver=file,node-name=f,filename=d", NULL},
    {"-device e1000,netdev=n0 -netdev user,id=n0 -hda d", NULL},
    {"-device virtio-net-pci,netdev=n0,bus=pci.0,addr=0x12,id=net0,rombar=0,bootindex=102 -netdev user,id=n0 -hda d", NULL},
    {"-device e1000,netdev=n0,bootindex=first -netdev user,id=n0 -hda d", "bootindex"},
    {"-machine pc,pcspk-audiodev=snd0 -audiodev none,id=snd0 -hda d", NULL},
    {"-machine pc,pcspk-audiodev=snd0 -hda d", "snd0"},
    /* serial and printer lines */
    {"-serial none -serial file:com2.log -serial null -serial pty -display none -hda d", NULL},
    {"-nodefaults -chardev pty,id=charserial0 -device isa-serial,chardev=charserial0,id=serial0,index=0 -hda d", NULL},
    {"-nodefaults -chardev null,id=c -device isa-serial,chardev=c,iobase=0x3e8,irq=4 -hda d", NULL},
    {"-device isa-serial,chardev=c,iobase=0x1000 -chardev null,id=c -hda d", "isa-serial"},
    {"-device isa-serial,chardev=c,index=0 -chardev null,id=c -serial null -hda d", "COM1"},
    {"-chardev file,id=lp,path=lp.out,append=on -device isa-parallel,chardev=lp -hda d", NULL},
    {"-display none -drive if=floppy,index=0,format=raw,file=a.img,cache=writethrough -qmp unix:q.sock,server,nowait -boot a -m 4 -serial "
     "pipe:w/format-serial",
     NULL},
    {"-machine pc,accel=tcg -m 1024 -display none -monitor unix:m.sock,server,nowait -chardev "
     "stdio,id=con,mux=on,signal=off,logfile=run.log,logappend=off -serial chardev:con -no-reboot",
     NULL},
    {"-serial /dev/ttyS0 -display none -hda d", NULL},
    {"-hda hd.img -serial null -parallel stdio -no-reboot", NULL},
    {"-serial tcp:127.0.0.1:1234,server -display none -kernel gdbstub.elf", NULL},
    {"-serial vc -hda d", "vc"},
    {"-serial msmouse -hda d", "msmouse"},
    {"-chardev udp,id=u,host=h,port=4555 -serial chardev:u", "udp"},
    {"-chardev null,id=c -chardev null,id=c", "twice"},
    /* systems by hand, from their makefiles and READMEs */
    {"-machine accel=kvm:tcg -m 128 -cpu host -rtc base=localtime -display sdl -hda disk -cdrom freedos.iso -boot d", NULL},
    {"-hdb fs.img xv6.img -smp 1 -m 512 -nographic -serial mon:stdio", NULL},
    {"-nographic -drive file=fs.img,index=1,media=disk,format=raw -drive file=xv6.img,index=0,media=disk,format=raw -smp 2 -m 512", "2"},
    {"-drive file=obj/kern/kernel.img,index=0,media=disk,format=raw -serial mon:stdio -gdb tcp::26000 -D qemu.log", NULL},
    {"-drive format=raw,file=build/disk.img,if=floppy -m size=1M,maxmem=1M -serial stdio -name Native", NULL},
    {"-hda image.bin --no-reboot --no-shutdown -m 32m -serial mon:stdio -D intlog.txt -d int", NULL},
    {"-cdrom os.iso -d guest_errors,int,cpu_reset,in_asm -D qemu_log_file.txt", NULL},
    {"-machine pc -m 64M -drive file=image,format=raw,if=floppy -boot order=a -display none -no-reboot -no-shutdown -debugcon file:log "
     "-global isa-debugcon.iobase=0xe9",
     NULL},
    {"-kernel os.bin -serial stdio -hda hdd.img -netdev user,id=f1,hostfwd=tcp:127.0.0.1:8000-:8000 -device rtl8139,netdev=f1 -object "
     "filter-dump,id=ff1,netdev=f1,file=dump.dat",
     NULL},
    {"-kernel sos.img -monitor stdio -m 32 -d int", NULL},
    {"-M pc -kernel bzImage -drive file=rootfs.ext2,if=virtio,format=raw -append root=/dev/vda -net nic,model=virtio -net "
     "user,hostfwd=tcp::2222-:22",
     NULL},
    {"-hda maxos.img -m 256M -machine pc,pcspk-audiodev=snd0 -device sb16,audiodev=snd0 -audiodev alsa,id=snd0", "sb16"},
    {"-audiodev alsa,id=alsa -machine type=pc,accel=kvm,pcspk-audiodev=alsa -net none -hda d", "alsa"},
    {"-nodefaults -enable-kvm -audiodev sdl,id=a -machine type=pc,accel=kvm,pcspk-audiodev=a -cpu host -display sdl -vga std -net none -rtc "
     "base=localtime -serial stdio -drive file=C.img,format=raw,if=ide,media=disk,readonly=off,index=0,cache=unsafe -drive "
     "file=A.img,format=raw,if=floppy,media=disk,readonly=off,index=0,snapshot=on -boot a",
     NULL},
    {"-cpu pentium -monitor stdio -k de -m 128 -hda d", "de"},
    {"-hda a.qcow2 -hdb nbd+unix://?socket=x", "nbd+unix"},
    {"-hda d -redir tcp:13389::3389", "redir"},
    {"-drive file=fat:rw:dir,format=raw", NULL},
    {"-drive if=pflash,format=raw,readonly=on,file=OVMF_CODE.fd", "pflash"},
    {"-cdrom https://example.org/x.iso", "https:"},
    {"-cdrom dir/a:b.iso", NULL},
    {"-cpu qemu32 -hda d", NULL},
    {"-cpu kvm32,-apic -hda d", NULL},
    {"-cpu 486-v1 -hda d", NULL},
    {"-cpu 486-v2 -hda d", "486-v2"},
    {"-cpu host,+x2apic -hda d", "+x2apic"},
    {"-cpu pentium3,+sse2 -hda d", "+sse2"},
    {"-cpu max,-apic -hda d", NULL},
    {"-cpu pentium4,apic=on -machine pc,hpet=on -hda d", NULL},
    {"-machine pc,hpet=maybe -hda d", "hpet"},
    {"-cpu z80 -hda d", "z80"},
    {"-display gtk -hda d", "gtk"},
    {"-device qemu-xhci -device usb-tablet -hda d", "qemu-xhci"},
    {"-device virtio-vga -hda d", "virtio-vga"},
    {"-vga none -device VGA,id=video0,vgamem_mb=16,bus=pci.0,addr=0x2 -hda d", NULL},
    {"-device pcnet,netdev=n -netdev user,id=n -hda d", "pcnet"},
    {"-device frobnicator -hda d", "frobnicator"},
    {"-M pc-0.15 -hda d", NULL},
    {"-m 512,slots=2,maxmem=1G -hda d", NULL},
    {"-machine pc,memory-backend=ram0 -hda d", "memory-backend"},
    {"-drive file=d,if=virtio,detect-zeroes=unmap,discard=unmap,cache=none,aio=native", NULL},
    {"-drive file=d,if=virtio,werror=stop,rerror=report", NULL},
    {"-drive file=d,if=virtio,werror=enospc -drive file=e,if=ide,werror=ignore,rerror=ignore", NULL},
    {"-drive if=none,id=x,file=d -device virtio-blk-pci,drive=x,werror=stop,rerror=stop", NULL},
    {"-drive file=d,rerror=enospc", "rerror"},
    {"-drive driver=qcow2,file.driver=file,file.filename=d.qcow2,if=virtio", NULL},
    {"-machine type=pc-i440fx-2.9,accel=tcg,usb=off,vmport=off,dump-guest-core=off -overcommit mem-lock=off "
     "-hda d",
     NULL},
    {"-overcommit mem-lock=on -hda d", "mem-lock=on"},
    {"-msg timestamp=on -hda d", NULL},
    {"-M pc,acpi=off -hda d", NULL},
    {"-M pc,acpi=maybe -hda d", "acpi=maybe"},
    {"-blockdev {\"driver\":\"raw\",\"node-name\":\"d\",\"file\":{\"driver\":\"file\",\"filename\":\"x\"}} "
     "-device {\"driver\":\"ide-hd\",\"bus\":\"ide.0\",\"unit\":0,\"drive\":\"d\",\"id\":\"ide0-0-0\",\"bootindex\":1}",
     NULL},
    {"-netdev {\"type\":\"user\",\"id\":\"hostnet0\"} "
     "-device {\"driver\":\"e1000\",\"netdev\":\"hostnet0\",\"id\":\"net0\",\"mac\":\"52:54:00:1:2:3\",\"bus\":\"pci.0\",\"addr\":\"0x3\"}",
     NULL},
    {"-device {\"bus\":\"ide.0\"} -hda d", "no driver"},
    {"-kernel k -drive if=none,format=raw,file=d.img,id=d0 -device virtio-blk-pci,drive=d0,disable-modern=on -netdev user,id=n -device "
     "virtio-net-pci,netdev=n,disable-modern=on",
     NULL},
    {"-drive if=none,file=d.img,id=d0 -device virtio-blk-pci,drive=d0,disable-legacy=on", "disable-legacy"},
    {"-device {\"driver\":\"nvme\"} -hda d", "nvme"},
    {"-netdev type=tap,ifname=tap0,script=no,downscript=no,id=net0 -device rtl8139,netdev=net0", NULL},
    {"-machine pc-i440fx-7.2,usb=off,dump-guest-core=off,hpet=off,acpi=on -accel tcg,thread=single -smp "
     "1,sockets=1,cores=1,threads=1 -hda d",
     NULL},
    {"-gdb tcp::1234 -S -kernel k -nographic", NULL},
    {"-net nic -net user,hostfwd=tcp:127.0.0.1:8080-:80 -hda d -m 256", NULL},
    {"-netdev tap,id=t0,ifname=tap0,script=no,downscript=no -device e1000,netdev=t0,mac=52:54:00:12:34:56 "
     "-hda d",
     NULL},
    {"-nic none -hda d -display none", NULL},
    /* what is not there */
    {"-M q35 -hda d", "q35"},
    {"-machine isapc -fda dos.img", "isapc"},
    {"-smp 2 -hda d", "2"},
    {"-smp cores=2,threads=1,sockets=1 -hda d", "cores=2"},
    {"-m 4G -hda d", "4G"},
    {"-usb -device usb-tablet -hda d", "-usb"},
    {"-device usb-ehci,id=ehci -hda d", "usb-ehci"},
    {"-usbdevice tablet -hda d", "usbdevice"},
    {"-soundhw sb16 -hda dos.img", "soundhw"},
    {"-audiodev pa,id=snd0 -hda d", "audiodev"},
    {"-device AC97 -hda d", "AC97"},
    {"-vga cirrus -hda win95.img", "cirrus"},
    {"-vga qxl -spice port=5900 -hda d", "qxl"},
    {"-virtfs local,path=.,mount_tag=host0,security_model=none -kernel k", "virtfs"},
    {"-fsdev local,id=f,path=. -kernel k", "fsdev"},
    {"-pflash OVMF.fd", "pflash"},
    {"-global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1 -global kvm-pit.lost_tick_policy=delay -hda d", NULL},
    {"-global VGA.vgamem_mb=64 -hda d", "VGA.vgamem_mb"},
    {"-object rng-random,id=r,filename=/dev/urandom -hda d", "object"},
    {"-device virtio-rng-pci -hda d", "virtio-rng-pci"},
    {"-device virtio-balloon-pci -hda d", "virtio-balloon-pci"},
    {"-balloon virtio -hda d", "balloon"},
    {"-readconfig vm.cfg", "readconfig"},
    {"-writeconfig vm.cfg", "writeconfig"},
    {"-localtime -hda win95.img", NULL},
    {"-no-acpi -hda d", NULL},
    {"-icount shift=auto -kernel k", "icount"},
    {"-incoming tcp:0:4444", "incoming"},
    {"-mem-path /dev/hugepages -hda d", "mem-path"},
    {"-runas nobody -hda d", "runas"},
    {"-sandbox on,obsolete=deny -hda d", NULL},
    {"-sandbox maybe -hda d", "sandbox"},
    {"-watchdog i6300esb -hda d", "watchdog"},
    {"-tpmdev passthrough,id=t -hda d", "tpmdev"},
    {"-monitor pty -display none", "pty"},
    {"-monitor vc -hda d", "vc"},
    {"-serial stdio -monitor stdio -hda d", "stdio"},
    {"-nographic -daemonize -hda d", "-daemonize"},
    {"-monitor chardev:nosuch -display none", "nosuch"},
    {"-hda d -bogus", "-bogus"},
    {"-rtc clock=sundial -hda d", "sundial"},
    {"-echr 0x14 -nographic -hda d", NULL},
    {"-echr 300 -hda d", "300"},
    {"-fw_cfg name=opt/x,string=y -hda d", "fw_cfg"},
    {"-sdl -hda d", "sdl"},
};

Test(lines, of_qemu)
{
    unsigned taken = 0;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        char text[512], *argv[ARGS_MAX + 1] = {(char *)(uintptr_t) "novt"};
        struct cli_options *opt = calloc(1, sizeof(*opt));
        struct novt_error err = {0};
        int rc;

        cr_assert(opt && strlen(lines[i].line) < sizeof(text));
        memcpy(text, lines[i].line, strlen(lines[i].line) + 1);
        rc = cli_parse(opt, 1 + split(text, argv + 1), argv, &err);
        if (lines[i].refused) {
            cr_expect(rc == EXIT_USAGE, "%s: %d", lines[i].line, rc);
            cr_expect(strstr(err.cause, lines[i].refused) != NULL, "%s: %s", lines[i].line, err.cause);
            cr_expect(err.remedy[0], "%s: no remedy", lines[i].line);
        } else {
            cr_expect(rc == 0, "%s: %s", lines[i].line, err.cause);
            taken++;
        }
        free(opt);
    }
    cr_expect(taken >= 40, "%u", taken);
}
