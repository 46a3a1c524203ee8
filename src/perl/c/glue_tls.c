/*
 * The client's STDIN and STDOUT where TLS ends in Rust: descriptors 0 and 1 are the socket, and what Perl code
 * reads and prints goes through the session's TLS. It is perl's own lowest layer with two functions changed, so
 * that buffers, other layers and handles that plugins keep stay what they are; without TLS these two are perl's.
 * sysread and syswrite know no layers: for them the handle is tied to Camelpost::TlsSocket as long as they run.
 */
#include "glue_perl.h"
#include <perliol.h>

/* Perl's own lowest layer with a way of our own to read and to write. */
static PerlIO_funcs layer;

/* The session whose turn it is has TLS. */
static int secured;

/* While a handler of a signal runs that came here, a plugin may close the handle: perl frees it afterwards. */
#define LOCKS(f) (((PerlIOl *)(void *)(f))->head->flags)

static void unlock(pTHX_ void *f) { LOCKS((PerlIO *)f)--; }

/* Lets handlers of signals run. Nonzero: the handle was closed meanwhile. */
static int run_handlers(pTHX_ PerlIO *f) {
    ENTER;
    SAVEDESTRUCTOR_X(unlock, (void *)f);
    LOCKS(f)++;
    PERL_ASYNC_CHECK();
    if (!(PerlIOBase(f)->flags & PERLIO_F_CLEARED)) {
        LEAVE;
        return 0;
    }
    while (PerlIOValid(f) && (PerlIOBase(f)->flags & PERLIO_F_CLEARED)) {
        PerlIOl *gone = *f;
        *f = gone->next;
        Safefree(gone);
    }
    LEAVE;
    return 1;
}

static SSize_t failed(pTHX_ PerlIO *f, SSize_t outcome) {
    errno = (int)-outcome;
    if (errno != EAGAIN)
        PerlIOBase(f)->flags |= PERLIO_F_ERROR;
    return -1;
}

static SSize_t read_client(pTHX_ PerlIO *f, void *buffer, Size_t count) {
    if (!secured)
        return PerlIO_unix.Read(aTHX_ f, buffer, count);
    for (;;) {
        SSize_t got = camelpost_client_read((char *)buffer, count);
        if (got == 0 && count) {
            PerlIOBase(f)->flags |= PERLIO_F_EOF;
            SETERRNO(0, 0);
        }
        if (got >= 0)
            return got;
        if (got != -EINTR)
            return failed(aTHX_ f, got);
        if (PL_sig_pending && run_handlers(aTHX_ f))
            return -1;
    }
}

static SSize_t write_client(pTHX_ PerlIO *f, const void *buffer, Size_t count) {
    if (!secured)
        return PerlIO_unix.Write(aTHX_ f, buffer, count);
    for (;;) {
        SSize_t sent = camelpost_client_write((const char *)buffer, count);
        if (sent >= 0)
            return sent;
        if (sent != -EINTR)
            return failed(aTHX_ f, sent);
        if (PL_sig_pending && run_handlers(aTHX_ f))
            return -1;
    }
}

void cp_carry_client(pTHX_ PerlIO *handle) {
    PerlIOl *lowest = handle ? *handle : NULL;
    while (lowest && lowest->next)
        lowest = lowest->next;
    if (!lowest || strNE(lowest->tab->name, PerlIO_unix.name))
        return;
    if (!layer.name) {
        layer = PerlIO_unix;
        layer.Read = read_client;
        layer.Write = write_client;
    }
    lowest->tab = &layer;
}

void cp_client_is_secured(int is) { secured = is; }

/* sysread, read and syswrite: perl's own, and our own around them. */
static Perl_ppaddr_t perl_sysread, perl_syswrite;

static void untie(pTHX_ void *io) { sv_unmagic((SV *)io, PERL_MAGIC_tiedscalar); }

static OP *run_tied(pTHX_ Perl_ppaddr_t perl_op) {
    SV *handle = PL_stack_base[TOPMARK + 1];
    IO *io = secured && isGV_with_GP(handle) ? GvIOp((GV *)handle) : NULL;
    if (!io || !cp_is_client(io) || SvTIED_mg((SV *)io, PERL_MAGIC_tiedscalar))
        return perl_op(aTHX);
    ENTER;
    SV *object = sv_2mortal(newSVpvs("Camelpost::TlsSocket"));
    sv_magic((SV *)io, object, PERL_MAGIC_tiedscalar, NULL, 0);
    SAVEDESTRUCTOR_X(untie, (void *)io);
    OP *next = perl_op(aTHX);
    LEAVE;
    return next;
}

static OP *pp_sysread_secured(pTHX) { return run_tied(aTHX_ perl_sysread); }

static OP *pp_syswrite_secured(pTHX) { return run_tied(aTHX_ perl_syswrite); }

void cp_secure_ops(void) {
    dTHXa(cp_perl);
    PERL_UNUSED_CONTEXT;
    perl_sysread = PL_ppaddr[OP_SYSREAD];
    perl_syswrite = PL_ppaddr[OP_SYSWRITE];
    PL_ppaddr[OP_SYSREAD] = pp_sysread_secured;
    PL_ppaddr[OP_SYSWRITE] = pp_syswrite_secured;
}
