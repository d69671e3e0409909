/*
 * disk.c - the place for a medium: request queue, the thread that works on it, completions.
 *
 * Requests are carried out in the order in which they came, so a flush covers all that was submitted before it. The thread holds no
 * lock while it reads or writes. Finished requests wait in a list until the VM's thread collects them: on a wake, or in drain().
 * The image changes only while nothing is in flight, so the thread needs no lock to look at it.
 *
 * A read that the host's page cache can serve is carried out when it is submitted, while the thread has nothing to do: handing it over and
 * back would take longer than copying it. It is done like all others, later.
 */
#include "block/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COLLECT_MOST 32u

struct request_list {
    struct disk_request *first, **end;
};

struct blk_disk {
    struct disk_back back;
    struct blk_image *image; /* NULL: no medium */
    struct disk_geometry geometry;
    char path[256];
    int file; /* names the image's file, whatever becomes of its path or of the working directory; -1: none */
    bool snapshot, tray_open;
    blk_trouble_fn *trouble;
    void *trouble_opaque;
    struct request_list held; /* the VM's thread's */
    unsigned told; /* operations that trouble() has heard of */
    enum blk_cache cache;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work, collected;
    struct request_list todo, finished;
    unsigned working; /* submitted and not yet in `finished` */
    bool quit;
    u64 reads, writes, flushes, read_bytes, written_bytes, errors;
    bool dirty; /* written since the last good flush */

    bool attached;

    struct wake wake;
    pthread_t thread;
};

static void list_init(struct request_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_put(struct request_list *list, struct disk_request *req)
{
    req->next = NULL;
    *list->end = req;
    list->end = &req->next;
}

static struct disk_request *list_take(struct request_list *list)
{
    struct disk_request *req = list->first;

    if (req) {
        list->first = req->next;
        if (!list->first)
            list->end = &list->first;
    }
    return req;
}

/* Something is in `finished`. With the lock held. */
static void announce(struct blk_disk *disk)
{
    if (disk->attached)
        wake_signal(&disk->wake);
}

/* ---- the thread ---- */

static int carry_out(struct blk_disk *disk, const struct disk_request *req)
{
    struct blk_image *image = disk->image;
    u64 at = req->sector * DISK_SECTOR_BYTES;
    size_t bytes = (size_t)req->sectors * DISK_SECTOR_BYTES;

    if (!image)
        return -ENOMEDIUM;
    switch (req->op) {
    case DISK_READ: return image->ops->read(image, at, req->buf, bytes);
    case DISK_WRITE: return image->ops->write(image, at, req->buf, bytes);
    case DISK_FLUSH: return disk->cache == BLK_UNSAFE ? 0 : image->ops->flush(image);
    case DISK_DISCARD: /* a hint: where the host cannot, nothing is lost */
        if (image->ops->discard)
            (void)!image->ops->discard(image, at, (u64)req->sectors * DISK_SECTOR_BYTES);
        return 0;
    }
    return -EINVAL;
}

static void count(struct blk_disk *disk, const struct disk_request *req)
{
    u64 bytes = (u64)req->sectors * DISK_SECTOR_BYTES;

    switch (req->op) {
    case DISK_READ:
        disk->reads++;
        disk->read_bytes += bytes;
        break;
    case DISK_WRITE:
        disk->writes++;
        disk->written_bytes += bytes;
        disk->dirty = true;
        break;
    case DISK_FLUSH:
        disk->flushes++;
        if (!req->err)
            disk->dirty = false;
        break;
    case DISK_DISCARD: disk->dirty = true; break;
    }
    if (req->err)
        disk->errors++;
}

static void *work(void *opaque)
{
    struct blk_disk *disk = opaque;

    pthread_mutex_lock(&disk->lock);
    for (;;) {
        struct disk_request *req = list_take(&disk->todo);

        if (!req) {
            if (disk->quit)
                break;
            pthread_cond_wait(&disk->work, &disk->lock);
            continue;
        }
        pthread_mutex_unlock(&disk->lock);
        req->err = carry_out(disk, req);
        pthread_mutex_lock(&disk->lock);
        count(disk, req);
        list_put(&disk->finished, req);
        disk->working--;
        pthread_cond_signal(&disk->collected);
        announce(disk);
    }
    pthread_mutex_unlock(&disk->lock);
    return NULL;
}

/* ---- the controller's side, on the VM's thread ---- */

static void get_geometry(void *opaque, struct disk_geometry *geometry)
{
    struct blk_disk *disk = opaque;

    *geometry = disk->geometry;
    geometry->sectors = disk->image ? disk->image->bytes / DISK_SECTOR_BYTES : 0;
    geometry->read_only = disk->image && disk->image->read_only;
}

/* What no image needs to be asked for. */
static int refusal(const struct blk_disk *disk, const struct disk_request *req)
{
    u64 sectors = disk->image ? disk->image->bytes / DISK_SECTOR_BYTES : 0;

    if (!disk->image)
        return -ENOMEDIUM;
    if (req->op == DISK_FLUSH)
        return 0;
    if ((req->sectors > DISK_REQUEST_SECTORS && req->op != DISK_DISCARD) || req->sectors > sectors || req->sector > sectors - req->sectors)
        return -ERANGE;
    return req->op != DISK_READ && disk->image->read_only ? -EROFS : 0;
}

static void submit(void *opaque, struct disk_request *req)
{
    struct blk_disk *disk = opaque;
    bool over;

    req->err = refusal(disk, req);
    over = req->err != 0;
    pthread_mutex_lock(&disk->lock);
    if (!over && !disk->working && req->op == DISK_READ && disk->image->ops->read_now) {
        /* Nothing is under way that it would have to wait for, so the thread has nothing to do with it. */
        over = !disk->image->ops->read_now(disk->image, req->sector * DISK_SECTOR_BYTES, req->buf,
                                           (size_t)req->sectors * DISK_SECTOR_BYTES);
        if (over)
            count(disk, req);
    }
    if (over) {
        list_put(&disk->finished, req);
        announce(disk);
    } else {
        list_put(&disk->todo, req);
        disk->working++;
        pthread_cond_signal(&disk->work);
    }
    pthread_mutex_unlock(&disk->lock);
}

/* A request that failed: is it done? */
static bool judge(struct blk_disk *disk, struct disk_request *req, bool may_hold)
{
    bool first = !(disk->told & BIT(req->op));
    enum blk_verdict verdict;

    if ((req->err != -ENOSPC && req->err != -EIO) || !disk->trouble)
        return true;
    disk->told |= BIT(req->op);
    verdict = disk->trouble(disk->trouble_opaque, req->op, req->err, may_hold, first);
    if (verdict == BLK_HOLD && may_hold) {
        list_put(&disk->held, req);
        return false;
    }
    if (verdict == BLK_IGNORE)
        req->err = 0;
    return true;
}

/* Calls done for what is finished, at most `most` times, as each may submit the next. How many there were. */
static unsigned collect(struct blk_disk *disk, unsigned most, bool may_hold)
{
    struct disk_request *req;
    unsigned n = 0;

    while (n < most) {
        pthread_mutex_lock(&disk->lock);
        req = list_take(&disk->finished);
        pthread_mutex_unlock(&disk->lock);
        if (!req)
            break;
        n++;
        if (UNLIKELY(req->err) && !judge(disk, req, may_hold))
            continue;
        req->done(req->opaque, req, req->err);
    }
    return n;
}

/* The guest is to run, too: what comes of a long queue in the page cache waits for the next boundary. */
static void on_wake(void *opaque)
{
    struct blk_disk *disk = opaque;

    if (collect(disk, COLLECT_MOST, true) == COLLECT_MOST)
        wake_signal(&disk->wake);
}

static bool end_held(struct blk_disk *disk)
{
    struct disk_request *req = list_take(&disk->held);

    if (req)
        req->done(req->opaque, req, req->err);
    return req != NULL;
}

static void drain(void *opaque)
{
    struct blk_disk *disk = opaque;

    do {
        pthread_mutex_lock(&disk->lock);
        while (disk->working && !disk->finished.first)
            pthread_cond_wait(&disk->collected, &disk->lock);
        pthread_mutex_unlock(&disk->lock);
    } while (collect(disk, UINT_MAX, false) || end_held(disk));
}

static void eject(void *opaque, bool open)
{
    blk_set_tray(opaque, open);
}

const struct disk_back *blk_back(const struct blk_disk *disk)
{
    return &disk->back;
}

/* ---- making, media ---- */

static void destroy(struct blk_disk *disk)
{
    pthread_cond_destroy(&disk->collected);
    pthread_cond_destroy(&disk->work);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

int blk_new(struct blk_disk **out)
{
    struct blk_disk *disk = calloc(1, sizeof(*disk));
    sigset_t all, old;
    int rc;

    *out = disk;
    if (!disk)
        return -ENOMEM;
    disk->back = (struct disk_back){
        .geometry = get_geometry, .submit = submit, .drain = drain, .eject = eject, .opaque = disk};
    disk->file = -1;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->work, NULL);
    pthread_cond_init(&disk->collected, NULL);
    list_init(&disk->todo);
    list_init(&disk->held);
    list_init(&disk->finished);
    sigfillset(&all); /* signals are for the threads that expect them; SIGXFSZ, blocked, leaves EFBIG */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&disk->thread, NULL, work, disk);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        destroy(disk);
        *out = NULL;
    }
    return -rc;
}

void blk_attach(struct blk_disk *disk, struct wake_list *wakes)
{
    wake_add(wakes, &disk->wake, on_wake, disk);
    pthread_mutex_lock(&disk->lock);
    disk->attached = true;
    if (disk->finished.first)
        wake_signal(&disk->wake);
    pthread_mutex_unlock(&disk->lock);
}

/* With nothing in flight. */
static int flush_image(struct blk_disk *disk)
{
    int rc = 0;

    if (disk->image && disk->dirty && disk->cache != BLK_UNSAFE)
        rc = disk->image->ops->flush(disk->image);
    if (!rc)
        disk->dirty = false;
    return rc;
}

int blk_flush(struct blk_disk *disk)
{
    drain(disk);
    return flush_image(disk);
}

static void drop_image(struct blk_disk *disk)
{
    if (!disk->image)
        return;
    flush_image(disk);
    disk->dirty = false;
    disk->image->ops->close(disk->image);
    disk->image = NULL;
    disk->path[0] = 0;
    if (disk->file >= 0)
        close(disk->file);
    disk->file = -1;
}

void blk_free(struct blk_disk *disk)
{
    if (!disk)
        return;
    pthread_mutex_lock(&disk->lock);
    disk->quit = true;
    pthread_cond_signal(&disk->work);
    pthread_mutex_unlock(&disk->lock);
    pthread_join(disk->thread, NULL);
    wake_remove(&disk->wake);
    drop_image(disk);
    destroy(disk);
}

int blk_insert(struct blk_disk *disk, const struct blk_source *source, struct blk_error *err)
{
    struct blk_image *image;
    int rc = image_open(&image, source, err);

    if (rc)
        return rc;
    blk_remove(disk);
    disk->image = image;
    disk->cache = source->cache;
    disk->snapshot = source->snapshot;
    disk->tray_open = false;
    disk->told = 0;
    snprintf(disk->path, sizeof(disk->path), "%s", source->path);
    disk->file = open(source->path, O_PATH | O_CLOEXEC);
    return 0;
}

bool blk_written(const struct blk_disk *disk, u64 *s, u64 *ns)
{
    struct stat st;

    if (disk->file < 0 || fstat(disk->file, &st))
        return false;
    *s = (u64)st.st_mtim.tv_sec;
    *ns = (u64)st.st_mtim.tv_nsec;
    return true;
}

void blk_remove(struct blk_disk *disk)
{
    drain(disk);
    drop_image(disk);
}

void blk_set_geometry(struct blk_disk *disk, u32 cylinders, u32 heads, u32 sectors_per_track)
{
    disk->geometry.cylinders = cylinders;
    disk->geometry.heads = heads;
    disk->geometry.sectors_per_track = sectors_per_track;
}

void blk_set_trouble(struct blk_disk *disk, blk_trouble_fn *fn, void *opaque)
{
    disk->trouble = fn;
    disk->trouble_opaque = opaque;
}

void blk_retry(struct blk_disk *disk)
{
    struct request_list again = disk->held;
    struct disk_request *req;

    if (!again.first)
        return;
    list_init(&disk->held); /* what fails again is held again, later: submit() calls nobody */
    while ((req = list_take(&again)))
        submit(disk, req);
}

bool blk_holds(const struct blk_disk *disk)
{
    return disk->held.first != NULL;
}

void blk_set_tray(struct blk_disk *disk, bool open)
{
    disk->tray_open = open;
}

void blk_info(struct blk_disk *disk, struct blk_info *info)
{
    pthread_mutex_lock(&disk->lock);
    *info = (struct blk_info){
        .format = disk->image ? disk->image->format : BLK_RAW,
        .read_only = disk->image && disk->image->read_only,
        .snapshot = disk->image && disk->snapshot,
        .tray_open = disk->tray_open,
        .probed_raw = disk->image && disk->image->probed_raw,
        .odd_size = disk->image && disk->image->odd_size,
        .bytes = disk->image ? disk->image->bytes : 0,
        .reads = disk->reads,
        .writes = disk->writes,
        .flushes = disk->flushes,
        .read_bytes = disk->read_bytes,
        .written_bytes = disk->written_bytes,
        .errors = disk->errors,
    };
    snprintf(info->path, sizeof(info->path), "%s", disk->path);
    pthread_mutex_unlock(&disk->lock);
}
