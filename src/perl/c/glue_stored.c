/*
 * What a plugin stores while a message is queued: files that it writes, what it renames or links into a
 * place, directories that it makes. Notes them, with descriptors that stay theirs whatever the plugin
 * closes, and what has failed in between, also where the plugin does not look (a handle that goes out of
 * scope, a buffer that is written at its end). Does not sync: Rust does (stored.rs).
 */
#include "glue_perl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From then on whole file systems are noted, as each note takes a descriptor. */
#define MOST 256

struct note {
    cp_stored told;
    dev_t device;
    ino_t inode;
    /* The handle through which it is written, as long as it is open. */
    IO *io;
    /* The last syswrite has written less than it was given. */
    int is_short;
};

static int watching;
static struct note *notes;
static size_t count, room;

static int goes(pTHX_ SV *io, MAGIC *mg);
static int glob_goes(pTHX_ SV *glob, MAGIC *mg);
static MGVTBL handle_vtbl = {.svt_free = goes, .svt_dup = cp_dup_without_data};
static MGVTBL glob_vtbl = {.svt_free = glob_goes, .svt_dup = cp_dup_without_data};

static struct note *add(int kind, int fd, const struct stat *is, const char *path) {
    if (count == room) {
        room = room ? 2 * room : 16;
        Renew(notes, room, struct note);
    }
    struct note *note = &notes[count++];
    Zero(note, 1, struct note);
    note->told.kind = kind;
    note->told.fd = fd;
    note->told.path = strdup(path);
    if (is) {
        note->device = is->st_dev;
        note->inode = is->st_ino;
    }
    return note;
}

static struct note *known(int kind, const struct stat *is) {
    for (size_t at = 0; at < count; at++)
        if (notes[at].told.kind == kind && notes[at].device == is->st_dev &&
            (kind == CP_STORED_ON || notes[at].inode == is->st_ino))
            return &notes[at];
    return NULL;
}

/* The descriptor passes to the note. Where there are too many, one stands for all of its file system. */
static void keep(int kind, int fd, const struct stat *is, const char *path) {
    if (count < MOST)
        add(kind, fd, is, path);
    else if (!known(CP_STORED_ON, is))
        add(CP_STORED_ON, fd, is, path);
    else
        close(fd);
}

/* Not one of 0 to 2: a plugin may have closed those. */
static int open_above(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fd > 2)
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return above;
}

/* The directory in which `path` is an entry. */
static void note_parent(pTHX_ const char *path) {
    STRLEN len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    SV *parent = newSVpvn_flags(len ? path : ".", len ? len : 1, SVs_TEMP);
    struct stat is;
    int fd = open_above(SvPVX(parent), O_RDONLY | O_DIRECTORY);
    /* Where it may not be read, nobody but its owner can sync it. */
    if (fd < 0)
        return;
    if (fstat(fd, &is) || known(CP_STORED_DIRECTORY, &is))
        close(fd);
    else
        keep(CP_STORED_DIRECTORY, fd, &is, SvPVX(parent));
}

/* What is at `path` now has come there by link or rename. */
static void note_placed(pTHX_ const char *path) {
    struct stat is;
    note_parent(aTHX_ path);
    int fd = open_above(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        return;
    struct note *note = fstat(fd, &is) ? NULL : known(CP_STORED_FILE, &is);
    if (note) {
        note->told.is_placed = 1;
        close(fd);
    } else if (S_ISREG(is.st_mode) && count < MOST) {
        add(CP_STORED_FILE, fd, &is, path)->told.is_placed = 1;
    } else if (S_ISREG(is.st_mode) || S_ISDIR(is.st_mode)) {
        keep(CP_STORED_DIRECTORY, fd, &is, path);
    } else {
        close(fd);
    }
}

static IO *io_of(SV *glob) {
    return glob && isGV_with_GP(glob) && GvIO((GV *)glob) ? GvIOp((GV *)glob) : NULL;
}

static struct note *note_of(IO *io) {
    MAGIC *mg = io && SvMAGIC(io) ? mg_findext((SV *)io, PERL_MAGIC_ext, &handle_vtbl) : NULL;
    const size_t at = mg ? (size_t)mg->mg_len : 0;
    return mg && at < count && notes[at].io == io ? &notes[at] : NULL;
}

/* What waits in the buffer goes to the file; whether all of it and all before has come there. errno is left as
 * it was, or as a close that fails would leave it. */
static void look_at(pTHX_ struct note *note) {
    PerlIO *handle = IoOFP(note->io);
    /* A handle's layers may be Perl code, which may store something itself. */
    const size_t at = (size_t)(note - notes);
    const int before = errno;
    errno = 0;
    const int failed = handle && (PerlIO_flush(handle) || PerlIO_error(handle));
    if (!failed || !errno)
        errno = before;
    if (failed && !notes[at].told.error)
        notes[at].told.error = errno ? errno : EIO;
}

static int goes(pTHX_ SV *io, MAGIC *mg) {
    const int saved = errno;
    struct note *note = note_of((IO *)io);
    const size_t at = note ? (size_t)(note - notes) : 0;
    if (note) {
        look_at(aTHX_ note);
        notes[at].io = NULL;
    }
    errno = saved;
    return 0;
}

/* A glob's end closes its handle, before that comes to its own end. */
static int glob_goes(pTHX_ SV *glob, MAGIC *mg) {
    const int saved = errno;
    IO *io = io_of(glob);
    struct note *note = watching ? note_of(io) : NULL;
    /* Others may lead to the handle, too. */
    if (note)
        look_at(aTHX_ note);
    errno = saved;
    return 0;
}

/* A handle is closed, or opened anew. */
static struct note *leave(pTHX_ SV *glob) {
    IO *io = io_of(glob);
    struct note *note = note_of(io);
    if (!note)
        return NULL;
    const size_t at = (size_t)(note - notes);
    look_at(aTHX_ note);
    notes[at].io = NULL;
    sv_unmagicext((SV *)io, PERL_MAGIC_ext, &handle_vtbl);
    return &notes[at];
}

/* A handle was opened: if it is one to write to a file, that is noted. */
static void note_opened(pTHX_ SV *glob) {
    IO *io = io_of(glob);
    struct stat is;
    if (!io || !IoOFP(io))
        return;
    const int fd = PerlIO_fileno(IoOFP(io));
    if (fd < 0 || fstat(fd, &is) || !S_ISREG(is.st_mode))
        return;
    const int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || (flags & O_ACCMODE) == O_RDONLY)
        return;
    const int mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (mine < 0) {
        add(CP_STORED_FAILED, -1, NULL, "a file that was opened")->told.error = errno;
        return;
    }
    if (count >= MOST) {
        keep(CP_STORED_FILE, mine, &is, "");
        return;
    }
    add(CP_STORED_FILE, mine, &is, "")->io = io;
    MAGIC *mg = sv_magicext((SV *)io, NULL, PERL_MAGIC_ext, &handle_vtbl, NULL, 0);
    mg->mg_len = (SSize_t)(count - 1);
    if (!SvMAGIC(glob) || !mg_findext(glob, PERL_MAGIC_ext, &glob_vtbl))
        sv_magicext(glob, NULL, PERL_MAGIC_ext, &glob_vtbl, NULL, 0);
}

static Perl_ppaddr_t perl_open, perl_sysopen, perl_syswrite, perl_close, perl_rename, perl_link, perl_mkdir;

/* It is the disk that fails; of anything else that keeps a file from its place the plugin may know what to make
 * (another file system, a name that is taken, a directory of somebody else's). */
static int is_the_disk(int error) {
    return error == ENOSPC || error == EDQUOT || error == EIO || error == EROFS;
}

static OP *opens(pTHX_ Perl_ppaddr_t perl_op, SV *glob) {
    (void)leave(aTHX_ glob);
    OP *next = perl_op(aTHX);
    const int saved = errno;
    /* undef where it fails; the number of a process, or 1, where it does not. */
    if (SvOK(*PL_stack_sp))
        note_opened(aTHX_ glob);
    else if (is_the_disk(saved))
        add(CP_STORED_NOT_OPENED, -1, NULL, "")->told.error = saved;
    errno = saved;
    return next;
}

static OP *open_handle(pTHX) {
    return watching ? opens(aTHX_ perl_open, PL_stack_base[*PL_markstack_ptr + 1]) : perl_open(aTHX);
}

static OP *sysopen_handle(pTHX) {
    return watching ? opens(aTHX_ perl_sysopen, PL_stack_sp[1 - MAXARG]) : perl_sysopen(aTHX);
}

/* What a syswrite is to write of its arguments: handle, text, length, offset. -1 where only perl knows. */
static IV to_write(pTHX_ SV **args, SSize_t given) {
    SV *text = args[1];
    if (!SvPOK(text) || SvROK(text) || (SvGMAGICAL(text) && !cp_is_only_tainted(text)))
        return -1;
    IV length = SvUTF8(text) ? (IV)utf8_length((U8 *)SvPVX(text), (U8 *)SvEND(text)) : (IV)SvCUR(text);
    for (SSize_t at = 2; at < given; at++)
        if (!SvIOK(args[at]) || SvGMAGICAL(args[at]))
            return -1;
    if (given > 3)
        length -= SvIVX(args[3]) < 0 ? length + SvIVX(args[3]) : SvIVX(args[3]);
    return given > 2 && SvIVX(args[2]) < length ? SvIVX(args[2]) : length;
}

/* Goes past the handle's buffer, whose layers have no part in what becomes of it. */
static OP *write_past_buffer(pTHX) {
    SV **args = PL_stack_base + *PL_markstack_ptr + 1;
    struct note *note = watching ? note_of(io_of(args[0])) : NULL;
    if (!note)
        return perl_syswrite(aTHX);
    const size_t at = (size_t)(note - notes);
    const IV wanted = to_write(aTHX_ args, PL_stack_sp - args + 1);
    OP *next = perl_syswrite(aTHX);
    if (at < count && SvOK(*PL_stack_sp))
        notes[at].is_short = SvIV_nomg(*PL_stack_sp) < wanted;
    else if (at < count && !notes[at].told.error)
        notes[at].told.error = errno ? errno : EIO;
    return next;
}

static OP *close_handle(pTHX) {
    struct note *note =
        watching ? leave(aTHX_ MAXARG ? *PL_stack_sp : (SV *)PL_defoutgv) : NULL;
    if (!note)
        return perl_close(aTHX);
    const size_t at = (size_t)(note - notes);
    OP *next = perl_close(aTHX);
    if (*PL_stack_sp == &PL_sv_no && at < count && !notes[at].told.error)
        notes[at].told.error = errno ? errno : EIO;
    return next;
}

static SV *copy_of(pTHX_ SV *sv) {
    STRLEN len;
    const char *text = SvPV(sv, len);
    return newSVpvn_flags(text, len, SVs_TEMP);
}

static OP *places(pTHX_ Perl_ppaddr_t perl_op) {
    SV *from = copy_of(aTHX_ PL_stack_sp[-1]), *to = copy_of(aTHX_ *PL_stack_sp);
    OP *next = perl_op(aTHX);
    const int saved = errno;
    struct stat is;
    if (SvIV_nomg(*PL_stack_sp)) {
        note_placed(aTHX_ SvPVX(to));
        add(CP_STORED_PLACED, -1, NULL, SvPVX(to))->told.from = strdup(SvPVX(from));
    } else if (is_the_disk(saved) && !lstat(SvPVX(from), &is)) {
        struct note *note = add(CP_STORED_NOT_PLACED, -1, NULL, SvPVX(to));
        note->told.from = strdup(SvPVX(from));
        note->told.error = saved;
    }
    errno = saved;
    return next;
}

static OP *rename_file(pTHX) { return watching ? places(aTHX_ perl_rename) : perl_rename(aTHX); }

static OP *link_file(pTHX) {
    return watching && PL_op->op_type == OP_LINK ? places(aTHX_ perl_link) : perl_link(aTHX);
}

static OP *make_directory(pTHX) {
    if (!watching)
        return perl_mkdir(aTHX);
    SV *path = copy_of(aTHX_ MAXARG > 1 ? PL_stack_sp[-1] : *PL_stack_sp);
    OP *next = perl_mkdir(aTHX);
    const int saved = errno;
    if (SvIV_nomg(*PL_stack_sp))
        note_parent(aTHX_ SvPVX(path));
    errno = saved;
    return next;
}

static Perl_ppaddr_t hook(Optype op, Perl_ppaddr_t ours) {
    Perl_ppaddr_t perl_op = PL_ppaddr[op];
    PL_ppaddr[op] = ours;
    return perl_op;
}

void cp_watch_storing(void) {
    if (perl_open)
        return;
    perl_open = hook(OP_OPEN, open_handle);
    perl_sysopen = hook(OP_SYSOPEN, sysopen_handle);
    perl_syswrite = hook(OP_SYSWRITE, write_past_buffer);
    perl_close = hook(OP_CLOSE, close_handle);
    perl_rename = hook(OP_RENAME, rename_file);
    perl_link = hook(OP_LINK, link_file);
    perl_mkdir = hook(OP_MKDIR, make_directory);
}

/* ---- for Rust ---- */

void cp_stored_begin(void) { watching++; }

/* Handles that are still open are the last to be looked at. Flushing may run Perl code, of a handle's layers. */
static int flush_all(pTHX) {
    for (size_t at = 0; at < count; at++) {
        IO *io = notes[at].io;
        if (!io)
            continue;
        look_at(aTHX_ &notes[at]);
        notes[at].io = NULL;
        sv_unmagicext((SV *)io, PERL_MAGIC_ext, &handle_vtbl);
    }
    return 0;
}

size_t cp_stored_end(void) {
    if (--watching > 0)
        return 0;
    watching = 0;
    const int saved = errno;
    if (cp_guard(flush_all) != CP_OK)
        add(CP_STORED_FAILED, -1, NULL, "a file that was open")->told.error = EIO;
    /* Nobody has written the rest, nor tried to. */
    for (size_t at = 0; at < count; at++)
        if (notes[at].is_short && !notes[at].told.error)
            notes[at].told.error = ENOSPC;
    errno = saved;
    return count;
}

const cp_stored *cp_stored_note(size_t at) { return &notes[at].told; }

void cp_stored_forget(void) {
    /* A call within another that is watched: they are that one's. */
    if (watching)
        return;
    for (size_t at = 0; at < count; at++) {
        if (notes[at].told.fd >= 0)
            close(notes[at].told.fd);
        free(notes[at].told.path);
        free(notes[at].told.from);
    }
    count = 0;
}
