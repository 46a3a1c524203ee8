/*
 * Handles that were opened while plugins were loaded: a session that closes one closes it for itself, as its
 * own process would. They are opened again on a duplicate of their descriptor. Does not know positions.
 */
#include "glue_exchange.h"
#include <fcntl.h>
#include <unistd.h>

struct handle {
    IO *io; /* counted */
    int fd; /* a duplicate */
    char type;
    char is_utf8, has_output;
};

static struct handle *handles;
static size_t count, room;

void cp_see_handle(pTHX_ IO *io) {
    PerlIO *file = IoIFP(io) ? IoIFP(io) : IoOFP(io);
    const int fd = file ? PerlIO_fileno(file) : -1;
    /* What a program or a directory stands behind is more than a descriptor. */
    if (fd < 3 || IoTYPE(io) == IoTYPE_PIPE || IoTYPE(io) == IoTYPE_STD || IoDIRP(io) ||
        (IoOFP(io) && IoIFP(io) && IoOFP(io) != IoIFP(io)))
        return;
    for (size_t i = 0; i < count; i++)
        if (handles[i].io == io)
            return;
    const int kept = fcntl(fd, F_DUPFD_CLOEXEC, 16);
    if (kept < 0)
        return;
    if (count == room) {
        room = room ? room * 2 : 8;
        Renew(handles, room, struct handle);
    }
    handles[count++] = (struct handle){.io = (IO *)SvREFCNT_inc_simple_NN((SV *)io),
                                       .fd = kept,
                                       .type = IoTYPE(io),
                                       .is_utf8 = (char)PerlIO_isutf8(file),
                                       .has_output = IoOFP(io) != NULL};
}

static const char *mode_of(const struct handle *handle) {
    switch (handle->type) {
    case IoTYPE_WRONLY: return "w";
    case IoTYPE_APPEND: return "a";
    case IoTYPE_RDONLY: return "r";
    default: return "r+";
    }
}

int cp_reopen_handle(pTHX_ size_t *from) {
    for (; *from < count; ++*from) {
        struct handle *handle = &handles[*from];
        if (IoIFP(handle->io) || IoOFP(handle->io))
            continue;
        const int fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 3);
        PerlIO *file = fd < 0 ? NULL : PerlIO_fdopen(fd, mode_of(handle));
        if (!file) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        if (handle->is_utf8)
            PerlIO_apply_layers(aTHX_ file, mode_of(handle), ":utf8");
        IoIFP(handle->io) = file;
        if (handle->has_output)
            IoOFP(handle->io) = file;
        IoTYPE(handle->io) = handle->type;
        return 1;
    }
    return 0;
}

void cp_close_handle(pTHX_ size_t which) {
    IO *io = handles[which].io;
    PerlIO *file = IoIFP(io) ? IoIFP(io) : IoOFP(io);
    IoIFP(io) = IoOFP(io) = NULL;
    IoTYPE(io) = IoTYPE_CLOSED;
    if (file)
        PerlIO_close(file);
}
