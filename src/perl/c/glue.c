/*
 * The interpreter's life, calls into Perl, XSUBs, and scalars: everything in which perl's own
 * long jumps may happen. A long jump never crosses a Rust frame: calls end here in an outcome,
 * and an XSUB croaks here, after its Rust body has returned.
 */
#include "glue_perl.h"
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

PerlInterpreter *cp_perl;
int cp_in_perl;

static int stray_child;

/* For tests (CAMELPOST_ABORT_ON_JUMP): an XSUB's scope is left while its Rust body runs. The frames are still there,
 * as perl unwinds its own stack before it jumps. */
static int abort_on_jump;

/* XSUBs whose Rust bodies run now, one inside the other. */
static int xsubs;
/* The innermost of them over which an exit has passed: it and all below must leave too, whatever
 * their bodies say, since the Perl frames that called them are gone. */
static int leaving;

/* Where the stack ends for Perl code that calls Rust that calls Perl. */
static char *stack_end;
#define STACK_RESERVE (1024 * 1024)

static void in_child(void) {
    stray_child = 1;
    if (cp_perl) {
        dTHXa(cp_perl);
        cp_ends_in_child(aTHX);
    }
    camelpost_forked();
}

EXTERN_C void boot_DynaLoader(pTHX_ CV *cv);

/* Runs before the program's own text is compiled. */
static void xs_init(pTHX) {
    newXS("DynaLoader::boot_DynaLoader", boot_DynaLoader, __FILE__);
    camelpost_boot();
}

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
    abort_on_jump = getenv("CAMELPOST_ABORT_ON_JUMP") != NULL;
    cp_defer_signals();
    cp_watch_require();
    cp_watch_alarm();
    cp_watch_modules();
    cp_watch_ops();
    cp_watch_storing();
    cp_watch_kill();
    cp_secure_ops();
    PL_exit_flags |= PERL_EXIT_DESTRUCT_END;
    /* Assigning to $0 must not write over the arguments of this process. */
    PL_origalen = 1;
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur > 2 * STACK_RESERVE)
        stack_end = (char *)&limit - (limit.rlim_cur - STACK_RESERVE);
    int status = perl_parse(my_perl, xs_init, argc, argv, NULL);
    status = status ? status : perl_run(my_perl);
    TAINT_NOT;
    return status;
}

int cp_stop(void) {
    dTHXa(cp_perl);
    PERL_SET_CONTEXT(cp_perl);
    PL_perl_destruct_level = 0;
    int status = perl_destruct(my_perl);
    perl_free(my_perl);
    cp_perl = NULL;
    return status;
}

size_t cp_count_values(void) {
    dTHXa(cp_perl);
    PERL_UNUSED_CONTEXT;
    return (size_t)PL_sv_count;
}

void cp_adopt(void) {
    stray_child = 0;
    cp_forget_pid();
}

int cp_exit_status(void) {
    dTHXa(cp_perl);
    return STATUS_EXIT;
}

int cp_is_stray_child(void) { return stray_child; }

/* A plugin's forked child ends as any perl does: END blocks, objects, buffers. What Rust owns is
 * its parent's, so exit handlers and destructors of Rust do not run. */
static void leave_stray_child(pTHX_ int outcome, SV *error) {
    dJMPENV;
    int caught;
    JMPENV_PUSH(caught);
    if (!caught && outcome == CP_DIED)
        warn_sv(error);
    if (!caught && outcome != CP_EXITED)
        my_exit(outcome == CP_DIED ? 255 : 0);
    JMPENV_POP;
    /* As the program perl does: END blocks and objects. Taking everything apart would also tell STDERR, which may
     * be the client, what shared strings were left. */
    PL_perl_destruct_level = 0;
    _exit(perl_destruct(my_perl) & 255);
}

void cp_reseed(uint32_t seed) {
    dTHXa(cp_perl);
    Perl_drand48_init(seed);
    PL_srand_called = TRUE;
}

/* ---- calls ---- */

struct work {
    enum { CALL, HOOK, METHOD, EVAL, DROP, STEP } what;
    cp_sv *code;
    const char *name;
    size_t length;
    cp_sv **args;
    size_t count;
    int want;
    int keep_error; /* $@ is as it was afterwards */
    cp_result *result;
    int64_t *number; /* only the returned code counts, and goes here */
    cp_sv *plugin;
    cp_sv *hook;
    cp_step *step;
};

/* The code of a method as it is now, or NULL where perl has to find it in a way of its own. */
static SV *method_code(pTHX_ SV *plugin, SV *name) {
    HV *stash = SvSTASH(SvRV(plugin));
    /* Most often it is the plugin's own. */
    HE *own = stash && SvIsCOW_shared_hash(name) ? cp_find_entry(stash, name) : NULL;
    if (own && isGV(HeVAL(own)) && GvCVu((GV *)HeVAL(own)) && CvROOT(GvCV((GV *)HeVAL(own))))
        return (SV *)GvCV((GV *)HeVAL(own));
    GV *gv = stash && SvPOK(name)
                 ? gv_fetchmeth_pvn(stash, SvPVX(name), SvCUR(name), 0, SvUTF8(name))
                 : NULL;
    return gv && isGV(gv) && GvCV(gv) && CvROOT(GvCV(gv)) ? (SV *)GvCV(gv) : NULL;
}

static I32 call_hook(pTHX_ struct work *w, I32 flags) {
    dSP;
    SV *plugin = SV(w->plugin);
    cp_localize(aTHX_ (HV *)SvRV(plugin), SV(w->args[0]), SV(w->hook));
    PUSHMARK(SP);
    EXTEND(SP, (SSize_t)w->count);
    PUSHs(plugin);
    for (size_t i = 1; i < w->count; i++)
        PUSHs(SV(w->args[i]));
    PUTBACK;
    SV *method = SV(w->code);
    if (SvROK(method))
        return call_sv(method, flags);
    SV *code = method_code(aTHX_ plugin, method);
    return code ? call_sv(code, flags) : call_method(SvPV_nolen(method), flags);
}

static I32 flags_of(int want) {
    return G_EVAL | (want == CP_LIST ? G_LIST : want == CP_SCALAR ? G_SCALAR : G_VOID | G_DISCARD);
}

/* Runs with a JMPENV in place; may leave by a long jump. */
static int perform(pTHX_ struct work *w) {
    if (w->what == DROP || w->what == STEP) {
        /* What a glob held becomes temporary when the glob goes. */
        ENTER;
        SAVETMPS;
        int outcome = CP_OK;
        if (w->what == STEP)
            outcome = w->step(aTHX);
        for (size_t i = 0; i < w->count; i++)
            SvREFCNT_dec(SV(w->args[i]));
        FREETMPS;
        LEAVE;
        return outcome;
    }
    dSP;
    int died = 0;
    ENTER;
    SAVETMPS;
    if (w->keep_error)
        save_scalar(PL_errgv);
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
        TAINT_NOT;
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
            /* Each stands on its own. */
            TAINT_NOT;
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

/* How often code was called that may be a plugin's. */
UV cp_calls;

static int guarded(struct work *w) {
    dTHXa(cp_perl);
    if (w->what != STEP && w->what != DROP && !w->keep_error)
        cp_calls++;
    dJMPENV;
    int caught;
    volatile int outcome = CP_OK;
    const int was_stray = stray_child;
    const int was_in_perl = cp_in_perl;
    const int were_xsubs = xsubs;
    /* After an exit no Perl runs before the frames of Rust above it are gone; objects may go. */
    if (leaving && leaving == xsubs && w->what != DROP) {
        if (w->result)
            w->result->exit_status = STATUS_EXIT;
        return CP_EXITED;
    }
    cp_in_perl = 1;
    const int was_tainted = TAINT_get ? 1 : 0;
    JMPENV_PUSH(caught);
    switch (caught) {
    case 0:
        TAINT_NOT;
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
    cp_in_perl = was_in_perl;
    /* An expression that led here by magic goes on. */
    TAINT_set(was_in_perl && was_tainted);
    if (xsubs != were_xsubs) {
        /* Nothing is known to do it. */
        xsubs = were_xsubs;
        camelpost_jumped_over();
    }
    /* What called here is the parent's: the child goes no further, however the call ended. */
    if (stray_child && (outcome == CP_EXITED || !was_stray))
        leave_stray_child(aTHX_ outcome, w->result ? SV(w->result->error) : NULL);
    if (outcome == CP_EXITED)
        leaving = xsubs;
    return outcome;
}

static void clear(cp_result *result) {
    result->error = NULL;
    result->values = result->few;
    result->count = 0;
    result->exit_status = 0;
}

int cp_call(cp_sv *code, cp_sv **args, size_t count, int want, cp_result *result) {
    struct work w = {
        .what = CALL, .code = code, .args = args, .count = count, .want = want, .result = result};
    clear(result);
    return guarded(&w);
}

int cp_call_aside(cp_sv *code, cp_sv **args, size_t count, int want, cp_result *result) {
    struct work w = {.what = CALL, .code = code, .args = args, .count = count,
                     .want = want, .keep_error = 1, .result = result};
    clear(result);
    return guarded(&w);
}

int cp_call_for_code(cp_sv *code, cp_sv **args, size_t count, int64_t *number, cp_result *result) {
    struct work w = {.what = CALL, .code = code, .args = args, .count = count,
                     .want = CP_LIST, .result = result, .number = number};
    clear(result);
    *number = -1;
    return guarded(&w);
}

int cp_call_hook(cp_sv *plugin, cp_sv *method, cp_sv *hook, cp_sv **args, size_t count,
                 int64_t *number, cp_result *result) {
    struct work w = {.what = HOOK, .code = method, .args = args, .count = count,
                     .want = CP_LIST, .result = result, .number = number,
                     .plugin = plugin, .hook = hook};
    clear(result);
    if (number)
        *number = -1;
    return guarded(&w);
}

int cp_call_method(const char *name, cp_sv **args, size_t count, int want, cp_result *result) {
    struct work w = {
        .what = METHOD, .name = name, .args = args, .count = count, .want = want, .result = result};
    clear(result);
    return guarded(&w);
}

int cp_eval(const char *text, size_t length, int want, cp_result *result) {
    struct work w = {
        .what = EVAL, .name = text, .length = length, .want = want, .result = result};
    clear(result);
    return guarded(&w);
}

int cp_drop(cp_sv **values, size_t count) {
    struct work w = {.what = DROP, .args = values, .count = count};
    return guarded(&w);
}

int cp_guard(cp_step *step) {
    struct work w = {.what = STEP, .step = step};
    return guarded(&w);
}

void cp_free_result(cp_result *result) {
    if (result->values != result->few)
        Safefree(result->values);
    result->values = result->few;
    result->count = 0;
}

/* ---- XSUBs ---- */

#define ARGS_INLINE 16

static void check_jump(pTHX_ void *xsubs_before) {
    PERL_UNUSED_CONTEXT;
    /* A child that a plugin has forked ends like this: nothing of Rust runs in it again. */
    if (xsubs > (int)PTR2IV(xsubs_before) && !cp_in_perl && !stray_child)
        camelpost_abort_on_jump();
}

static void trampoline(pTHX_ CV *cv) {
    dXSARGS;
    SV *few[ARGS_INLINE];
    cp_frame frame = {0};
    if (aTHX != cp_perl)
        croak("%s::%s cannot be called in a thread: a session and its state belong to one interpreter",
              HvNAME(GvSTASH(CvGV(cv))), GvNAME(CvGV(cv)));
    if (stack_end && (char *)&frame < stack_end)
        croak("Calls of hooks within hooks are nested too deeply");
    ENTER;
    /* The stack may move while Rust calls Perl again, and does not count its references: the
     * arguments are copied and kept. */
    SV **args = few;
    if (items > ARGS_INLINE) {
        Newx(args, items, SV *);
        SAVEFREEPV(args);
    }
    for (SSize_t i = 0; i < items; i++) {
        /* What is called from there clears $@. */
        args[i] = ST(i) == ERRSV ? sv_mortalcopy(ST(i)) : ST(i);
        SAVEFREESV(SvREFCNT_inc_simple_NN(args[i]));
    }
    for (SSize_t i = 0; i < items; i++)
        SvGETMAGIC(args[i]);
    /* As at the first statement of a sub in Perl. */
    TAINT_NOT;
    frame.args = (cp_sv **)args;
    frame.count = (size_t)items;
    frame.want = GIMME_V == G_LIST ? CP_LIST : GIMME_V == G_SCALAR ? CP_SCALAR : CP_VOID;
    if (abort_on_jump)
        SAVEDESTRUCTOR_X(check_jump, INT2PTR(void *, (IV)xsubs));
    xsubs++;
    const int was_in_perl = cp_in_perl;
    cp_in_perl = 0;
    int status = camelpost_xs(CvXSUBANY(cv).any_i32, &frame);
    cp_in_perl = was_in_perl;
    for (size_t i = 0; i < frame.returned && i < CP_INLINE; i++)
        sv_2mortal(SV(frame.few[i]));
    AV *more = (AV *)frame.more;
    if (more)
        sv_2mortal((SV *)more);
    const int must_leave = leaving >= xsubs;
    xsubs--;
    if (must_leave || status == CP_XS_EXIT) {
        leaving = xsubs;
        my_exit(STATUS_EXIT);
    }
    if (status == CP_XS_CROAK) {
        SV *error = frame.error ? sv_2mortal(SV(frame.error)) : newSVpvs_flags("error", SVs_TEMP);
        if (SvROK(error))
            croak_sv(error);
        croak("%" SVf, SVfARG(error));
    }
    LEAVE;
    TAINT_NOT;
    SPAGAIN;
    SP = PL_stack_base + ax - 1;
    EXTEND(SP, (SSize_t)frame.returned);
    for (size_t i = 0; i < frame.returned; i++) {
        SV *value;
        if (i < CP_INLINE) {
            value = SV(frame.few[i]);
        } else {
            /* Taken out of the array: a temporary of nobody else's is not copied again. */
            SV **slot = &AvARRAY(more)[i - CP_INLINE];
            value = *slot ? sv_2mortal(*slot) : &PL_sv_undef;
            *slot = NULL;
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
