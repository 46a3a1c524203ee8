/*
 * A session's copy of a plugin object's contents, made fit for the next session: plain values that
 * the session has changed are set back, those that it has added are removed. Wherever more has changed, or something else may hold on to
 * a part of the copy, it gives up, and the next session gets a new copy. No Perl code runs here.
 */
#include "glue_perl.h"

/* How much is looked at before a new copy is as good. */
#define MOST_VALUES 1000
#define DEEPEST 16

#define VALUE_FLAGS (SVf_IOK | SVf_NOK | SVf_POK | SVp_IOK | SVp_NOK | SVp_POK | SVf_UTF8 | SVf_IVisUV)

struct renewing {
    int left, depth;
    /* What has changed is not set back. */
    int same_only;
};

static int is_same_scalar(SV *a, SV *b) {
    if ((SvFLAGS(a) ^ SvFLAGS(b)) & VALUE_FLAGS)
        return 0;
    if (SvPOKp(a) && (SvCUR(a) != SvCUR(b) || memNE(SvPVX(a), SvPVX(b), SvCUR(a))))
        return 0;
    if (SvIOKp(a) && SvIVX(a) != SvIVX(b))
        return 0;
    return !SvNOKp(a) || memEQ(&SvNVX(a), &SvNVX(b), sizeof(NV));
}

static int renew_container(pTHX_ SV *copy, SV *then, struct renewing *r);

static int renew_value(pTHX_ SV *copy, SV *then, struct renewing *r) {
    if (copy == then)
        return 1;
    if (r->left-- == 0 || SvREFCNT(copy) != 1 || SvTYPE(copy) > SVt_PVMG || SvTYPE(then) > SVt_PVMG ||
        SvMAGICAL(copy) || SvMAGICAL(then) || SvREADONLY(copy) || SvOBJECT(copy))
        return 0;
    if (SvROK(copy) || SvROK(then)) {
        if (!SvROK(copy) || !SvROK(then) || SvWEAKREF(copy) || SvWEAKREF(then))
            return 0;
        SV *mine = SvRV(copy), *its = SvRV(then);
        /* What is no plain list or hash is shared by all sessions. */
        if (mine == its)
            return 1;
        return SvTYPE(mine) == SvTYPE(its) && SvREFCNT(mine) == 1 && !SvMAGICAL(mine) &&
               cp_is_plain_container(mine) && cp_is_plain_container(its) && !sv_get_backrefs(mine) &&
               renew_container(aTHX_ mine, its, r);
    }
    if (is_same_scalar(copy, then))
        return 1;
    if (r->same_only)
        return 0;
    sv_setsv_nomg(copy, then);
    return 1;
}

/* Whether freeing a value of the copy's frees nothing but texts and numbers. */
static int is_simple(SV *value, struct renewing *r) {
    int simple = 1;
    if (r->left-- == 0 || SvREFCNT(value) != 1 || SvMAGICAL(value) || SvOBJECT(value))
        return 0;
    if (SvTYPE(value) == SVt_PVAV) {
        for (SSize_t i = 0; simple && i <= AvFILLp((AV *)value); i++)
            simple = !AvARRAY((AV *)value)[i] || is_simple(AvARRAY((AV *)value)[i], r);
        return simple;
    }
    if (SvTYPE(value) == SVt_PVHV) {
        HV *hash = (HV *)value;
        for (STRLEN i = 0; HvARRAY(hash) && i <= HvMAX(hash); i++)
            for (HE *entry = HvARRAY(hash)[i]; simple && entry; entry = HeNEXT(entry))
                simple = is_simple(HeVAL(entry), r);
        return simple && !sv_get_backrefs(value);
    }
    if (SvTYPE(value) > SVt_PVMG)
        return 0;
    if (!SvROK(value))
        return 1;
    if (SvWEAKREF(value) || r->depth == DEEPEST || !cp_is_plain_container(SvRV(value)))
        return 0;
    r->depth++;
    simple = is_simple(SvRV(value), r);
    r->depth--;
    return simple;
}

static SV *value_of(HV *hash, HEK *key) {
    HE *entry = HvARRAY(hash) ? HvARRAY(hash)[HEK_HASH(key) & HvMAX(hash)] : NULL;
    while (entry && HeKEY_hek(entry) != key)
        entry = HeNEXT(entry);
    return entry ? HeVAL(entry) : NULL;
}

static int renew_hash(pTHX_ HV *copy, HV *then, struct renewing *r) {
    STRLEN known = 0;
    for (STRLEN i = 0; HvARRAY(copy) && i <= HvMAX(copy); i++)
        for (HE *entry = HvARRAY(copy)[i], *next; entry; entry = next) {
            SV *value = HeVAL(entry), *other = value_of(then, HeKEY_hek(entry));
            next = HeNEXT(entry);
            if (other) {
                if (!renew_value(aTHX_ value, other, r))
                    return 0;
                known++;
                continue;
            }
            /* The hooks' own keys stay where they were put, undefined. */
            if (r->depth == 1 && !SvOK(value) && SvREFCNT(value) == 1 &&
                cp_is_local_key(HeKEY_hek(entry)))
                continue;
            if (r->same_only || value == &PL_sv_placeholder || !is_simple(value, r))
                return 0;
            (void)hv_delete(copy, HeKEY(entry), HeKUTF8(entry) ? -HeKLEN(entry) : HeKLEN(entry),
                            G_DISCARD);
        }
    return known == HvUSEDKEYS(then);
}

static int renew_container(pTHX_ SV *copy, SV *then, struct renewing *r) {
    int is_renewed = 1;
    if (r->depth == DEEPEST)
        return 0;
    r->depth++;
    if (SvTYPE(copy) == SVt_PVHV) {
        is_renewed = HvSHAREKEYS((HV *)copy) && HvSHAREKEYS((HV *)then) &&
                     renew_hash(aTHX_ (HV *)copy, (HV *)then, r);
    } else {
        AV *mine = (AV *)copy, *its = (AV *)then;
        is_renewed = AvFILLp(mine) == AvFILLp(its);
        for (SSize_t i = 0; is_renewed && i <= AvFILLp(mine); i++) {
            SV *value = AvARRAY(mine)[i], *other = AvARRAY(its)[i];
            is_renewed = value && other ? renew_value(aTHX_ value, other, r) : value == other;
        }
    }
    r->depth--;
    return is_renewed;
}

int cp_renew_contents(cp_sv *copy, cp_sv *object, int same_only) {
    dTHXa(cp_perl);
    struct renewing r = {.left = MOST_VALUES, .same_only = same_only};
    SV *hash = SvROK(SV(object)) ? SvRV(SV(object)) : SV(object);
    return !SvMAGICAL(SV(copy)) && !SvREADONLY(SV(copy)) && SvREFCNT(SV(copy)) == 1 &&
           renew_container(aTHX_ SV(copy), hash, &r);
}
