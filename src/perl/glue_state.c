/*
 * The process state that belongs to a session: noted once, compared after each session. Putting
 * it back where it differs is Perl's work (perl/Camelpost.pm), as it may run code.
 */
#include "glue_perl.h"

static HV *noted_env;
static SV *noted_handlers[SIG_SIZE];
static SV *noted_warn, *noted_die;
static SV *noted_variables[4]; /* $/ $\ $, $0 */
static GV *noted_handle;

static SV *variable(pTHX_ int which) {
    SV *sv = which == 0   ? PL_rs
             : which == 1 ? PL_ors_sv
             : which == 2 ? GvSV(PL_ofsgv)
                          : get_sv("0", 0);
    return sv && SvOK(sv) ? sv : NULL;
}

void cp_note_state(void) {
    dTHXa(cp_perl);
    HV *env = GvHVn(PL_envgv);
    if (noted_env)
        SvREFCNT_dec((SV *)noted_env);
    noted_env = newHV();
    HE *entry;
    hv_iterinit(env);
    while ((entry = hv_iternext(env)))
        (void)hv_store_ent(noted_env, hv_iterkeysv(entry), newSVsv_nomg(HeVAL(entry)), 0);
    for (int i = 0; i < SIG_SIZE; i++)
        noted_handlers[i] = PL_psig_ptr ? PL_psig_ptr[i] : NULL;
    noted_warn = PL_warnhook;
    noted_die = PL_diehook;
    for (int i = 0; i < 4; i++) {
        SV *now = variable(aTHX_ i);
        noted_variables[i] = now ? newSVsv_nomg(now) : NULL;
    }
    noted_handle = PL_defoutgv;
}

static int is_session_variable(const char *name, STRLEN length) {
    return length > 3 && memcmp(name, "TCP", 3) == 0;
}

static int env_differs(pTHX) {
    HV *env = GvHVn(PL_envgv);
    STRLEN same = 0;
    HE *entry;
    hv_iterinit(env);
    while ((entry = hv_iternext(env))) {
        STRLEN length;
        const char *name = HePV(entry, length);
        if (is_session_variable(name, length))
            continue;
        SV **then = hv_fetch(noted_env, name, (I32)length, 0);
        if (!then || !sv_eq_flags(*then, HeVAL(entry), 0))
            return 1;
        same++;
    }
    STRLEN noted = 0;
    hv_iterinit(noted_env);
    while ((entry = hv_iternext(noted_env))) {
        STRLEN length;
        const char *name = HePV(entry, length);
        noted += !is_session_variable(name, length);
    }
    return same != noted;
}

int cp_state_differs(void) {
    dTHXa(cp_perl);
    for (int i = 0; i < SIG_SIZE; i++)
        if (noted_handlers[i] != (PL_psig_ptr ? PL_psig_ptr[i] : NULL))
            return 1;
    if (noted_warn != PL_warnhook || noted_die != PL_diehook || noted_handle != PL_defoutgv)
        return 1;
    for (int i = 0; i < 4; i++) {
        SV *now = variable(aTHX_ i);
        if (!now != !noted_variables[i] || (now && !sv_eq_flags(now, noted_variables[i], 0)))
            return 1;
    }
    return env_differs(aTHX);
}
