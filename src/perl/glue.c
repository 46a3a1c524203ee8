/*
 * The interpreter's life, calls into Perl, XSUBs, and scalars: everything in which perl's own
 * long jumps may happen. A long jump never crosses a Rust frame: calls end here in an outcome,
 * and an XSUB croaks here, after its Rust body has returned.
 */
#include "glue_perl.h"
#include <pthread.h>
#include <unistd.h>

PerlInterpreter *cp_perl;

static int stray_child;

static void in_child(void) { stray_child = 1; }

EXTERN_C void boot_DynaLoader(pTHX_ CV *cv);

static void xs_init(pTHX) { newXS("DynaLoader::boot_DynaLoader", boot_DynaLoader, __FILE__); }

int cp_start(int argc, char **argv) {
    static int once;
    static char *no_env[] = {NULL};
    char **env = environ ? environ : no_env;
    if (!once) {
        once = 1;
        PERL_SYS_INIT3(&argc, &argv, &env);
        pthread_atfork(NULL, NULL, in_child);
    }
    cp_perl = perl_alloc();
    if (!cp_perl)
        return 1;
    PERL_SET_CONTEXT(cp_perl);
    dTHXa(cp_perl);
    perl_construct(my_perl);
    PL_exit_flags |= PERL_EXIT_DESTRUCT_END;
    /* Assigning to $0 must not write over the arguments of this process. */
    PL_origalen = 1;
    int status = perl_parse(my_perl, xs_init, argc, argv, NULL);
    return status ? status : perl_run(my_perl);
}

int cp_stop(void) {
    dTHXa(cp_perl);
    PL_perl_destruct_level = 0;
    int status = perl_destruct(my_perl);
    perl_free(my_perl);
    cp_perl = NULL;
    return status;
}

void cp_adopt(void) { stray_child = 0; }

int cp_is_stray_child(void) { return stray_child; }

void cp_leave_stray_child(int status) {
    dTHXa(cp_perl);
    PerlIO_flush(NULL);
    _exit(status);
}

void cp_reseed(uint32_t seed) {
    dTHXa(cp_perl);
    Perl_drand48_init(seed);
    PL_srand_called = TRUE;
}

/* ---- calls ---- */

struct work {
    enum { CALL, HOOK, METHOD, EVAL, DROP, END } what;
    cp_sv *code;
    const char *name;
    size_t length;
    cp_sv **args;
    size_t count;
    int want;
    cp_result *result;
    int64_t *number; /* only the returned code counts, and goes here */
    cp_sv *plugin;
    cp_sv *hook;
};

/* local $plugin->{key} = value */
static void localize(pTHX_ HV *plugin, const char *key, SV *value) {
    I32 length = (I32)strlen(key);
    SV *name = newSVpvn_flags(key, length, SVs_TEMP);
    SV **known = hv_fetch(plugin, key, length, 0);
    if (known)
        save_helem(plugin, name, known);
    else
        SAVEHDELETE(plugin, name);
    SV *copy = newSVsv(value);
    if (!hv_store(plugin, key, length, copy, 0))
        SvREFCNT_dec(copy);
}

static I32 call_hook(pTHX_ struct work *w, I32 flags) {
    dSP;
    SV *plugin = SV(w->plugin);
    localize(aTHX_ (HV *)SvRV(plugin), "_qp", SV(w->args[0]));
    localize(aTHX_ (HV *)SvRV(plugin), "_hook", SV(w->hook));
    PUSHMARK(SP);
    EXTEND(SP, (SSize_t)w->count);
    PUSHs(plugin);
    for (size_t i = 1; i < w->count; i++)
        PUSHs(SV(w->args[i]));
    PUTBACK;
    SV *method = SV(w->code);
    return SvROK(method) ? call_sv(method, flags) : call_method(SvPV_nolen(method), flags);
}

static I32 flags_of(int want) {
    return G_EVAL | (want == CP_LIST ? G_LIST : want == CP_SCALAR ? G_SCALAR : G_VOID | G_DISCARD);
}

/* Runs with a JMPENV in place; may leave by a long jump. */
static int perform(pTHX_ struct work *w) {
    if (w->what == DROP) {
        for (size_t i = 0; i < w->count; i++)
            SvREFCNT_dec(SV(w->args[i]));
        return CP_OK;
    }
    if (w->what == END) {
        FREETMPS;
        LEAVE;
        return CP_OK;
    }
    dSP;
    int died = 0;
    ENTER;
    SAVETMPS;
    I32 got;
    if (w->what == EVAL) {
        SV *text = newSVpvn_flags(w->name, w->length, SVs_TEMP);
        got = eval_sv(text, flags_of(w->want) & ~G_DISCARD);
    } else if (w->what == HOOK) {
        got = call_hook(aTHX_ w, flags_of(w->want));
    } else {
        PUSHMARK(SP);
        EXTEND(SP, (SSize_t)w->count);
        for (size_t i = 0; i < w->count; i++)
            PUSHs(SV(w->args[i]));
        PUTBACK;
        got = w->what == METHOD ? call_method(w->name, flags_of(w->want))
                                : call_sv(SV(w->code), flags_of(w->want));
    }
    SPAGAIN;
    if (SvROK(ERRSV) || SvTRUE(ERRSV)) {
        died = 1;
        w->result->error = CP(newSVsv(ERRSV));
        CLEAR_ERRSV();
        SP -= got;
    } else if (w->want == CP_VOID) {
        SP -= got;
    } else if (w->number) {
        SV *first = got > 0 ? SP[1 - got] : NULL;
        if (first && SvOK(first))
            *w->number = cp_int(CP(first));
        SP -= got;
    } else {
        w->result->count = (size_t)got;
        if (got > CP_INLINE)
            Newx(w->result->values, got, cp_sv *);
        for (I32 i = 0; i < got; i++) {
            SV *sv = SP[i - got + 1];
            /* A temporary is ours alone; anything else may change under us. */
            w->result->values[i] = CP(SvTEMP(sv) ? SvREFCNT_inc_simple_NN(sv) : newSVsv(sv));
        }
        SP -= got;
    }
    PUTBACK;
    FREETMPS;
    LEAVE;
    return died ? CP_DIED : CP_OK;
}

static int guarded(struct work *w) {
    dTHXa(cp_perl);
    dJMPENV;
    int caught;
    volatile int outcome = CP_OK;
    JMPENV_PUSH(caught);
    switch (caught) {
    case 0:
        outcome = perform(aTHX_ w);
        break;
    case 2: /* my_exit has unwound every Perl frame */
        outcome = CP_EXITED;
        if (w->result)
            w->result->exit_status = STATUS_EXIT;
        break;
    default: /* an error outside any eval; perl has printed it */
        outcome = CP_EXITED;
        if (w->result)
            w->result->exit_status = 255;
    }
    JMPENV_POP;
    /* A plugin's forked child ends as any perl does: END blocks, objects, buffers. What Rust owns
     * is its parent's, so exit handlers and destructors of Rust do not run. */
    if (stray_child && outcome == CP_EXITED)
        _exit(perl_destruct(my_perl) & 255);
    return outcome;
}

static void clear(cp_result *result) {
    result->error = NULL;
    result->values = result->few;
    result->count = 0;
    result->exit_status = 0;
}

int cp_call(cp_sv *code, cp_sv **args, size_t count, int want, cp_result *result) {
    struct work w = {CALL, code, NULL, 0, args, count, want, result, NULL, NULL, NULL};
    clear(result);
    return guarded(&w);
}

int cp_call_for_code(cp_sv *code, cp_sv **args, size_t count, int64_t *number, cp_result *result) {
    struct work w = {CALL, code, NULL, 0, args, count, CP_LIST, result, number, NULL, NULL};
    clear(result);
    *number = -1;
    return guarded(&w);
}

int cp_call_hook(cp_sv *plugin, cp_sv *method, cp_sv *hook, cp_sv **args, size_t count,
                 int64_t *number, cp_result *result) {
    struct work w = {HOOK, method, NULL, 0, args, count, CP_LIST, result, number, plugin, hook};
    clear(result);
    if (number)
        *number = -1;
    return guarded(&w);
}

int cp_call_method(const char *name, cp_sv **args, size_t count, int want, cp_result *result) {
    struct work w = {METHOD, NULL, name, 0, args, count, want, result, NULL, NULL, NULL};
    clear(result);
    return guarded(&w);
}

int cp_eval(const char *text, size_t length, int want, cp_result *result) {
    struct work w = {EVAL, NULL, text, length, NULL, 0, want, result, NULL, NULL, NULL};
    clear(result);
    return guarded(&w);
}

int cp_drop(cp_sv **values, size_t count) {
    struct work w = {DROP, NULL, NULL, 0, values, count, CP_VOID, NULL, NULL, NULL, NULL};
    return guarded(&w);
}

void cp_free_result(cp_result *result) {
    if (result->values != result->few)
        Safefree(result->values);
    result->values = result->few;
    result->count = 0;
}

void cp_begin(void) {
    dTHXa(cp_perl);
    ENTER;
    SAVETMPS;
}

int cp_end(void) {
    struct work w = {END, NULL, NULL, 0, NULL, 0, CP_VOID, NULL, NULL, NULL, NULL};
    return guarded(&w);
}

/* ---- XSUBs ---- */

#define ARGS_INLINE 16

static void trampoline(pTHX_ CV *cv) {
    dXSARGS;
    SV *few[ARGS_INLINE];
    cp_frame frame = {0};
    /* The stack may move while Rust calls Perl again, so the arguments are copied. */
    SV **args = few;
    if (items > ARGS_INLINE) {
        Newx(args, items, SV *);
        SAVEFREEPV(args);
    }
    for (SSize_t i = 0; i < items; i++) {
        args[i] = ST(i);
        SvGETMAGIC(args[i]);
    }
    frame.args = (cp_sv **)args;
    frame.count = (size_t)items;
    frame.want = GIMME_V == G_LIST ? CP_LIST : GIMME_V == G_SCALAR ? CP_SCALAR : CP_VOID;
    int status = camelpost_xs(CvXSUBANY(cv).any_i32, &frame);
    for (size_t i = 0; i < frame.returned && i < CP_INLINE; i++)
        sv_2mortal(SV(frame.few[i]));
    AV *more = (AV *)frame.more;
    if (more)
        sv_2mortal((SV *)more);
    if (status == CP_XS_CROAK) {
        SV *error = frame.error ? sv_2mortal(SV(frame.error)) : newSVpvs_flags("error", SVs_TEMP);
        if (SvROK(error))
            croak_sv(error);
        croak("%" SVf, SVfARG(error));
    }
    if (status == CP_XS_EXIT)
        my_exit(STATUS_EXIT);
    SPAGAIN;
    SP = PL_stack_base + ax - 1;
    EXTEND(SP, (SSize_t)frame.returned);
    for (size_t i = 0; i < frame.returned; i++) {
        SV *value;
        if (i < CP_INLINE) {
            value = SV(frame.few[i]);
        } else {
            SV **slot = av_fetch(more, (SSize_t)(i - CP_INLINE), 0);
            value = slot ? *slot : &PL_sv_undef;
        }
        PUSHs(value);
    }
    PUTBACK;
}

void cp_define(const char *name, int32_t index, const char *prototype) {
    dTHXa(cp_perl);
    CV *cv = newXS_flags(name, trampoline, "camelpost", prototype, 0);
    CvXSUBANY(cv).any_i32 = index;
}

cp_sv *cp_anonymous_xsub(int32_t index) {
    dTHXa(cp_perl);
    CV *cv = newXS(NULL, trampoline, "camelpost");
    CvXSUBANY(cv).any_i32 = index;
    return CP(newRV_noinc((SV *)cv));
}

int32_t cp_xsub_index(cp_sv *code) {
    SV *sv = SV(code);
    if (SvROK(sv))
        sv = SvRV(sv);
    if (SvTYPE(sv) != SVt_PVCV || CvXSUB((CV *)sv) != trampoline)
        return -1;
    return CvXSUBANY((CV *)sv).any_i32;
}

void cp_return(cp_frame *frame, cp_sv *value) {
    dTHXa(cp_perl);
    if (frame->returned < CP_INLINE) {
        frame->few[frame->returned] = value;
    } else {
        if (!frame->more)
            frame->more = CP(newAV());
        av_push((AV *)frame->more, SV(value));
    }
    frame->returned++;
}
