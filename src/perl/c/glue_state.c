/*
 * The process state that belongs to a session: noted once, compared after each session. Putting
 * it back where it differs is Perl's work (perl/Camelpost.pm), as it may run code. Values are
 * compared as they lie there, without magic and without conversions: no Perl code runs here.
 */
#include "glue_perl.h"
#include <signal.h>
#include <unistd.h>

static HV *noted_env;
static HV *noted_signals;
static SV *noted_variables[6]; /* $/ $\ $, $0, and since perl 5.38 the two hooks of require */
static GV *noted_handle;
static UV noted_hooks;
static sigset_t noted_mask;

/* Signals of the host's own, which perl does not know: after a `local` it makes them the system's. */
static const int own_signals[] = {SIGPIPE, SIGURG};
static struct sigaction noted_actions[C_ARRAY_LENGTH(own_signals)];

static SV *variable(pTHX_ int which) {
    SV *sv = which == 0   ? PL_rs
             : which == 1 ? PL_ors_sv
             : which == 2 ? GvSV(PL_ofsgv)
             : which == 3 ? get_sv("0", 0)
#if PERL_VERSION_GE(5, 38, 0)
             : which == 4 ? PL_hook__require__before
             : which == 5 ? PL_hook__require__after
#endif
                          : NULL;
    return sv && SvOK(sv) ? sv : NULL;
}

static int same(pTHX_ SV *then, SV *now) {
    if (!then || !now)
        return then == now;
    if (cp_has_taint(aTHX_ then) != cp_has_taint(aTHX_ now))
        return 0;
    if (SvROK(then) || SvROK(now))
        return SvROK(then) && SvROK(now) && SvRV(then) == SvRV(now);
    if (SvPOK(then) && SvPOK(now))
        return SvCUR(then) == SvCUR(now) && memEQ(SvPVX(then), SvPVX(now), SvCUR(now)) &&
               SvUTF8(then) == SvUTF8(now);
    return SvIOK(then) && SvIOK(now) && SvIVX(then) == SvIVX(now);
}

typedef int filter(SV *value, const char *name, STRLEN length);

static int is_named(const char *name, STRLEN length, const char *known) {
    return length == strlen(known) && memEQ(name, known, length);
}

/* A variable of the environment that no session sets anew. */
static int is_lasting(SV *value, const char *name, STRLEN length) {
    PERL_UNUSED_ARG(value);
    return !is_named(name, length, "TCPLOCALIP") && !is_named(name, length, "TCPREMOTEIP") &&
           !is_named(name, length, "TCPREMOTEHOST");
}

/* A signal that has a handler, or is ignored. */
static int is_handled(SV *value, const char *name, STRLEN length) {
    PERL_UNUSED_ARG(name);
    PERL_UNUSED_ARG(length);
    if (!SvOK(value))
        return 0;
    return !SvPOK(value) || (SvCUR(value) && !is_named(SvPVX(value), SvCUR(value), "DEFAULT"));
}

static HV *signals(pTHX) { return GvHVn(gv_fetchpvs("SIG", GV_ADD | GV_NOTQUAL, SVt_PVHV)); }

/* The entries of a hash, without its iterator. */
#define EACH_ENTRY(hash, entry)                                                                    \
    for (STRLEN bucket = 0; HvARRAY(hash) && bucket <= HvMAX(hash); bucket++)                      \
        for (HE *entry = HvARRAY(hash)[bucket]; entry; entry = HeNEXT(entry))                      \
            if (HeVAL(entry) != &PL_sv_placeholder)

static SV *value_at(pTHX_ HV *hash, HE *like) {
    HE *entry = HvARRAY(hash) ? HvARRAY(hash)[HeHASH(like) & HvMAX(hash)] : NULL;
    while (entry && HeKEY_hek(entry) != HeKEY_hek(like))
        entry = HeNEXT(entry);
    if (entry)
        return HeVAL(entry);
    SV **slot = hv_fetch(hash, HeKEY(like), HeKUTF8(like) ? -HeKLEN(like) : HeKLEN(like), 0);
    return slot ? *slot : NULL;
}

static HV *copy(pTHX_ HV *from, filter *counts) {
    HV *to = newHV();
    HE *entry;
    hv_iterinit(from);
    while ((entry = hv_iternext(from)))
        if (counts(HeVAL(entry), HeKEY(entry), (STRLEN)HeKLEN(entry)))
            (void)hv_store(to, HeKEY(entry), HeKUTF8(entry) ? -HeKLEN(entry) : HeKLEN(entry),
                           cp_copy_value(aTHX_ HeVAL(entry)), 0);
    return to;
}

static int differs(pTHX_ HV *then, HV *now, filter *counts) {
    STRLEN found = 0;
    if (SvRMAGICAL((SV *)now) && mg_find((SV *)now, PERL_MAGIC_tied))
        return 1;
    EACH_ENTRY(now, entry) {
        if (!counts(HeVAL(entry), HeKEY(entry), (STRLEN)HeKLEN(entry)))
            continue;
        SV *old = value_at(aTHX_ then, entry);
        if (!old || !same(aTHX_ old, HeVAL(entry)))
            return 1;
        found++;
    }
    return found != HvUSEDKEYS(then);
}

/* A number that changes with the entries of the table of hooks, their order and their code. The
 * noted entries are kept alive (perl/Camelpost.pm), so that no new one has an old one's address. */
static UV hooks_now(pTHX) {
    SV *table = get_sv("Qpsmtpd::hooks", 0);
    UV all = 0;
    if (!table || !SvROK(table) || SvTYPE(SvRV(table)) != SVt_PVHV || SvMAGICAL(SvRV(table)))
        return all;
    HV *hooks = (HV *)SvRV(table);
    EACH_ENTRY(hooks, entry) {
        SV *list = SvROK(HeVAL(entry)) ? SvRV(HeVAL(entry)) : NULL;
        if (!list || SvTYPE(list) != SVt_PVAV || SvMAGICAL(list) || AvFILLp((AV *)list) < 0)
            continue;
        UV one = HeHASH(entry);
        for (SSize_t i = 0; i <= AvFILLp((AV *)list); i++) {
            SV *hook = AvARRAY((AV *)list)[i];
            hook = hook && SvROK(hook) ? SvRV(hook) : NULL;
            one = one * 31 + PTR2UV(hook);
            if (hook && SvTYPE(hook) == SVt_PVHV && !SvMAGICAL(hook) && !SvREADONLY(hook)) {
                SV **code = hv_fetchs((HV *)hook, "code", 0);
                one = one * 31 + (code && SvROK(*code) ? PTR2UV(SvRV(*code)) : 0);
            }
        }
        all += one;
    }
    return all;
}

void cp_note_state(void) {
    dTHXa(cp_perl);
    noted_env = copy(aTHX_ GvHVn(PL_envgv), is_lasting);
    noted_signals = copy(aTHX_ signals(aTHX), is_handled);
    for (int i = 0; i < (int)C_ARRAY_LENGTH(noted_variables); i++) {
        SV *now = variable(aTHX_ i);
        noted_variables[i] = now ? cp_copy_value(aTHX_ now) : NULL;
    }
    noted_handle = PL_defoutgv;
    noted_hooks = hooks_now(aTHX);
    sigprocmask(SIG_SETMASK, NULL, &noted_mask);
    for (size_t i = 0; i < C_ARRAY_LENGTH(own_signals); i++)
        sigaction(own_signals[i], NULL, &noted_actions[i]);
}

int cp_state_differs(void) {
    dTHXa(cp_perl);
    for (int i = 0; i < (int)C_ARRAY_LENGTH(noted_variables); i++)
        if (!same(aTHX_ noted_variables[i], variable(aTHX_ i)))
            return 1;
    return noted_handle != PL_defoutgv || noted_hooks != hooks_now(aTHX) ||
           differs(aTHX_ noted_signals, signals(aTHX), is_handled) ||
           differs(aTHX_ noted_env, GvHVn(PL_envgv), is_lasting);
}

void cp_restore_signals(void) {
    sigprocmask(SIG_SETMASK, &noted_mask, NULL);
    for (size_t i = 0; i < C_ARRAY_LENGTH(own_signals); i++) {
        struct sigaction now;
        if (!sigaction(own_signals[i], NULL, &now) &&
            now.sa_handler != noted_actions[i].sa_handler)
            sigaction(own_signals[i], &noted_actions[i], NULL);
    }
}

static int alarm_set;
static Perl_ppaddr_t perl_alarm;

static OP *pp_alarm_noted(pTHX) {
    alarm_set = 1;
    return perl_alarm(aTHX);
}

void cp_watch_alarm(void) {
    if (!perl_alarm) {
        perl_alarm = PL_ppaddr[OP_ALARM];
        PL_ppaddr[OP_ALARM] = pp_alarm_noted;
    }
}

void cp_end_alarm(void) {
    if (alarm_set) {
        alarm_set = 0;
        alarm(0);
    }
}

/* The texts NAME=VALUE that are in this process's environment, each in a block of its own. */
static char *variables[8];

void cp_set_variable(const char *name, const char *value, size_t length, int tainted) {
    dTHXa(cp_perl);
    size_t name_length = strlen(name);
    size_t free_slot = 0;
    while (free_slot < C_ARRAY_LENGTH(variables) && variables[free_slot] &&
           (strncmp(variables[free_slot], name, name_length) ||
            variables[free_slot][name_length] != '='))
        free_slot++;
    char *text = malloc(name_length + length + 2);
    if (!text || free_slot == C_ARRAY_LENGTH(variables)) {
        free(text);
        return;
    }
    memcpy(text, name, name_length);
    text[name_length] = '=';
    memcpy(text + name_length + 1, value, length);
    text[name_length + length + 1] = 0;
    putenv(text);
    free(variables[free_slot]);
    variables[free_slot] = text;
    HV *env = GvHVn(PL_envgv);
    CP_NEW_VALUE;
    SV *copy = newSVpvn(value, length);
    if (tainted)
        SvTAINTED_on(copy);
    /* The element is not told that it was set: the environment is right already. */
    if (SvREADONLY(env) || mg_find((SV *)env, PERL_MAGIC_tied) ||
        !hv_store(env, name, (I32)name_length, copy, 0))
        SvREFCNT_dec(copy);
}
