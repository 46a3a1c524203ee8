/*
 * A connection's end as the end of a process would be: END blocks of the site's code, DESTROY of the
 * plugins' objects, with what the session has made of all variables. The blocks stay for the next
 * session. Does not run those of other modules, which would end what all sessions share.
 */
#include "glue_exchange.h"

/* END blocks, the one first that is run first. */
static AV *ends;
/* References to the plugins' objects. */
static AV *objects;

/* How many blocks of others are left where perl has them. */
static SSize_t others_left = -1;

static destroyable_proc_t perl_destroyhook;
static int without_destroy;

/* How many objects have gone whose class may have code for it. */
static UV destroyed;

/* What perl has found when it looked last. */
static int has_no_destroy(pTHX_ HV *stash) {
    const struct mro_meta *meta = HvHasAUX(stash) ? HvAUX(stash)->xhv_mro_meta : NULL;
    return meta && meta->destroy_gen && meta->destroy_gen == PL_sub_generation && !meta->destroy;
}

static bool is_destroyed(pTHX_ SV *sv) {
    if (!has_no_destroy(aTHX_ SvSTASH(sv)))
        destroyed++;
    if (without_destroy)
        return 0;
    /* Each session's end has destroyed it. */
    for (SSize_t i = 0; objects && i <= AvFILLp(objects); i++)
        if (SvRV(AvARRAY(objects)[i]) == sv)
            return 0;
    return perl_destroyhook(aTHX_ sv);
}

int cp_has_destroyed(UV *since) {
    const int any = !perl_destroyhook || destroyed != *since;
    *since = destroyed;
    return any;
}

void cp_take_ends(void) {
    dTHXa(cp_perl);
    if (!perl_destroyhook) {
        perl_destroyhook = PL_destroyhook;
        PL_destroyhook = is_destroyed;
    }
    if (!PL_endav)
        return;
    if (!ends)
        ends = newAV();
    AV *others = NULL, *mine = newAV();
    for (SSize_t i = 0; i <= AvFILLp(PL_endav); i++) {
        SV *block = SvREFCNT_inc_simple_NN(AvARRAY(PL_endav)[i]);
        if (cp_is_site_code(aTHX_ (CV *)block)) {
            av_push(mine, block);
            continue;
        }
        if (!others)
            others = newAV();
        av_push(others, block);
    }
    /* What was compiled last is run first. */
    for (SSize_t i = 0; i <= AvFILLp(ends); i++)
        av_push(mine, SvREFCNT_inc_simple_NN(AvARRAY(ends)[i]));
    SvREFCNT_dec((SV *)ends);
    ends = mine;
    SvREFCNT_dec((SV *)PL_endav);
    PL_endav = others;
    others_left = others ? AvFILLp(others) : -1;
}

void cp_ends_of(cp_sv *list) {
    dTHXa(cp_perl);
    SvREFCNT_dec((SV *)objects);
    objects = (AV *)SV(list);
}

void cp_without_destroy(int on) { without_destroy = on; }

void cp_ends_in_child(pTHX) {
    without_destroy = 0;
    if (perl_destroyhook)
        PL_destroyhook = perl_destroyhook;
    perl_destroyhook = NULL;
    if (!ends)
        return;
    for (SSize_t i = 0; PL_endav && i <= AvFILLp(PL_endav); i++)
        av_push(ends, SvREFCNT_inc_simple_NN(AvARRAY(PL_endav)[i]));
    SvREFCNT_dec((SV *)PL_endav);
    PL_endav = ends;
    ends = NULL;
}

static AV *died;

static void call_one(pTHX_ SV *code, SV *object, const char *what) {
    dSP;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);
    PUSHMARK(SP);
    if (object)
        XPUSHs(object);
    PUTBACK;
    call_sv(code, G_EVAL | G_VOID | G_DISCARD);
    if (SvROK(ERRSV) || SvTRUE(ERRSV)) {
        if (!died)
            died = newAV();
        av_push(died, newSVpvf("%s: %" SVf, what, SVfARG(ERRSV)));
    }
    FREETMPS;
    LEAVE;
}

static CV *destroy_of(pTHX_ SV *object) {
    GV *gv = gv_fetchmeth_pvn(SvSTASH(SvRV(object)), "DESTROY", 7, 0, 0);
    CV *code = gv && isGV(gv) ? GvCV(gv) : NULL;
    return code && !CvISXSUB(code) ? code : NULL;
}

/* Whether any of the plugins has such code: looked at again where a class may have changed. */
static int any_destroys(pTHX) {
    static uint64_t then;
    static int any;
    uint64_t now = 0;
    for (SSize_t i = 0; objects && i <= AvFILLp(objects); i++)
        now += cp_generation(aTHX_ SvSTASH(SvRV(AvARRAY(objects)[i])));
    if (now == then)
        return any;
    any = 0;
    for (SSize_t i = 0; objects && i <= AvFILLp(objects); i++)
        any |= destroy_of(aTHX_ AvARRAY(objects)[i]) != NULL;
    then = now;
    return any;
}

static int run_all(pTHX) {
    for (SSize_t i = 0; ends && i <= AvFILLp(ends); i++)
        call_one(aTHX_ AvARRAY(ends)[i], NULL, "an END block died");
    for (SSize_t i = 0; objects && i <= AvFILLp(objects); i++) {
        SV *object = AvARRAY(objects)[i];
        CV *code = destroy_of(aTHX_ object);
        if (code)
            call_one(aTHX_ (SV *)code, sv_2mortal(newRV_inc(SvRV(object))), "DESTROY of a plugin died");
    }
    return CP_OK;
}

int cp_run_ends(cp_sv **texts) {
    dTHXa(cp_perl);
    /* A plugin that came in the session may have brought some. */
    if (PL_endav && AvFILLp(PL_endav) != others_left)
        cp_take_ends();
    died = NULL;
    int outcome = CP_OK;
    if ((ends && AvFILLp(ends) >= 0) || any_destroys(aTHX))
        outcome = cp_guard(run_all);
    *texts = CP(died);
    died = NULL;
    return outcome;
}
