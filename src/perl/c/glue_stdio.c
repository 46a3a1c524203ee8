/*
 * The client's socket on STDIN and STDOUT. Plugins select on STDIN, read lines from it, print
 * to STDOUT, pass both to programs that they run, and put a TLS handle in their place.
 */
#include "glue_perl.h"

/* A layer, or a handler of a signal that comes while a handle waits, may be Perl code: what uses
 * handles runs behind cp_guard. */

/* The handles that a session starts with: *STDIN and *STDOUT may be given others by a plugin. */
static IO *client_in;
static IO *client_out;
/* Where warnings go, and what programs that plugins run complain to. */
static IO *own_err;

static GV *stdout_gv;

int cp_is_client(const IO *io) { return io == client_in || io == client_out; }

static IO *give_handle(pTHX_ GV *gv, IO *mine, int fd, const char *mode) {
    if (!mine) {
        mine = GvIOn(gv);
        SvREFCNT_inc_simple_void_NN((SV *)mine);
    }
    if (GvIOp(gv) != mine) {
        SV *other = (SV *)GvIOp(gv);
        GvIOp(gv) = (IO *)SvREFCNT_inc_simple_NN((SV *)mine);
        SvREFCNT_dec(other);
    }
    PerlIO *handle = IoIFP(mine);
    if (handle && PerlIO_fileno(handle) != fd) {
        PerlIO_close(handle);
        handle = IoIFP(mine) = IoOFP(mine) = NULL;
    }
    if (!handle) {
        /* A plugin closed it: a new one, on the descriptor that is in place already. */
        handle = PerlIO_fdopen(fd, mode);
        IoIFP(mine) = handle;
        IoOFP(mine) = mode[0] == 'w' ? handle : NULL;
        IoTYPE(mine) = mode[0] == 'w' ? IoTYPE_WRONLY : IoTYPE_RDONLY;
    } else {
        /* What is left in the buffer belongs to a client that has gone. */
        char rest[256];
        SSize_t left;
        while (mode[0] == 'r' && (left = PerlIO_get_cnt(handle)) > 0)
            PerlIO_read(handle, rest, left < (SSize_t)sizeof rest ? (size_t)left : sizeof rest);
        PerlIO_clearerr(handle);
        /* Layers that a plugin has put on it. */
        PerlIO_binmode(aTHX_ handle, IoTYPE(mine), 0, NULL);
    }
    IoLINES(mine) = 0;
    if (mode[0] == 'w')
        IoFLAGS(mine) |= IOf_FLUSH;
    return mine;
}

static int fresh_err(pTHX) {
    if (PL_stderrgv)
        own_err = give_handle(aTHX_ PL_stderrgv, own_err, 2, "w");
    return CP_OK;
}

int cp_fresh_stderr(void) { return cp_guard(fresh_err); }

static int fresh(pTHX) {
    if (!stdout_gv)
        stdout_gv = gv_fetchpv("STDOUT", GV_ADD | GV_NOTQUAL, SVt_PVIO);
    client_in = give_handle(aTHX_ PL_stdingv, client_in, 0, "r");
    client_out = give_handle(aTHX_ stdout_gv, client_out, 1, "w");
    cp_carry_client(aTHX_ IoIFP(client_in));
    cp_carry_client(aTHX_ IoOFP(client_out));
    return fresh_err(aTHX);
}

int cp_fresh_stdio(void) { return cp_guard(fresh); }

int cp_stdio_closed(void) {
    dTHXa(cp_perl);
    PERL_UNUSED_CONTEXT;
    return client_in && (!GvIOp(PL_stdingv) || !GvIOp(stdout_gv) ||
                         (GvIOp(PL_stdingv) == client_in && !IoIFP(client_in)) ||
                         (GvIOp(stdout_gv) == client_out && !IoOFP(client_out)) ||
                         (own_err && GvIOp(PL_stderrgv) == own_err && !IoOFP(own_err)));
}

int cp_stdio_taken(void) {
    dTHXa(cp_perl);
    PERL_UNUSED_CONTEXT;
    return client_in && (GvIOp(PL_stdingv) != client_in || GvIOp(stdout_gv) != client_out);
}

cp_sv *cp_stdio_in_place(int fd) {
    dTHXa(cp_perl);
    GV *gv = fd ? stdout_gv : PL_stdingv;
    return gv && GvIOp(gv) ? CP(SvREFCNT_inc_simple_NN((SV *)GvIOp(gv))) : NULL;
}

static void put(pTHX_ GV *gv, SV *io) {
    SV *other = (SV *)GvIOp(gv);
    if (other == io)
        return;
    GvIOp(gv) = (IO *)SvREFCNT_inc_simple_NN(io);
    SvREFCNT_dec(other);
}

static SV *chosen[2];

static int put_both(pTHX) {
    put(aTHX_ PL_stdingv, chosen[0]);
    put(aTHX_ stdout_gv, chosen[1]);
    return CP_OK;
}

int cp_stdio_put(cp_sv *in, cp_sv *out) {
    chosen[0] = SV(in);
    chosen[1] = SV(out);
    return cp_guard(put_both);
}

/* The bytes of the running call to one of the two functions below. */
static const char *lent;
static char *taken;
static size_t wanted, done;

static int unread(pTHX) {
    PerlIO *in = client_in ? IoIFP(client_in) : NULL;
    if (in && PerlIO_unread(in, lent, wanted) == (SSize_t)wanted)
        done = wanted;
    return CP_OK;
}

int cp_stdin_unread(const char *bytes, size_t length) {
    lent = bytes;
    wanted = length;
    done = 0;
    return cp_guard(unread) == CP_OK && done == length;
}

static int take(pTHX) {
    PerlIO *in = client_in ? IoIFP(client_in) : NULL;
    SSize_t there = in ? PerlIO_get_cnt(in) : 0;
    SSize_t got = there > 0 ? PerlIO_read(in, taken, (size_t)there < wanted ? (size_t)there : wanted)
                            : 0;
    done = got > 0 ? (size_t)got : 0;
    return CP_OK;
}

size_t cp_stdin_take(char *bytes, size_t size) {
    taken = bytes;
    wanted = size;
    done = 0;
    return cp_guard(take) == CP_OK ? done : 0;
}

int cp_stdin_is_open(void) {
    dTHXa(cp_perl);
    PERL_UNUSED_CONTEXT;
    return client_in && IoIFP(client_in);
}

static int flush(pTHX) {
    PerlIO *out = client_out ? IoOFP(client_out) : NULL;
    done = !out || PerlIO_flush(out) == 0;
    return CP_OK;
}

int cp_stdout_flush(void) {
    done = 0;
    return cp_guard(flush) == CP_OK && done;
}

static int flush_all(pTHX) {
    PerlIO_flush((PerlIO *)NULL);
    return CP_OK;
}

int cp_flush_all(void) { return cp_guard(flush_all); }

cp_sv *cp_new_handle(int fd, const char *mode) {
    dTHXa(cp_perl);
    PerlIO *handle = PerlIO_fdopen(fd, mode);
    if (!handle)
        return NULL;
    GV *gv = newGVgen("Qpsmtpd::Transaction");
    IO *io = GvIOn(gv);
    IoIFP(io) = IoOFP(io) = handle;
    IoTYPE(io) = IoTYPE_RDWR;
    SV *reference = newRV_inc((SV *)gv);
    /* The handle is closed with its last reference: the symbol table keeps none. */
    (void)hv_delete(GvSTASH(gv), GvNAME(gv), GvNAMELEN(gv), G_DISCARD);
    return CP(reference);
}
