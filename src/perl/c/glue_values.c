/*
 * Scalars, arrays and hashes, and deep copies of them. Nothing here dies
 * or runs Perl code, save where values are given up.
 */
#include "glue_perl.h"

/* ---- scalars ---- */

cp_sv *cp_undef(void) {
    dTHXa(cp_perl);
    return CP(newSV(0));
}

cp_sv *cp_new_bytes(const char *bytes, size_t length, int utf8) {
    dTHXa(cp_perl);
    CP_NEW_VALUE;
    return CP(newSVpvn_utf8(bytes, length, utf8));
}

cp_sv *cp_new_int(int64_t n) {
    dTHXa(cp_perl);
    CP_NEW_VALUE;
    return CP(newSViv((IV)n));
}

cp_sv *cp_new_num(double n) {
    dTHXa(cp_perl);
    CP_NEW_VALUE;
    return CP(newSVnv(n));
}

SV *cp_copy_value(pTHX_ SV *sv) {
    CP_NEW_VALUE;
    SV *copy = newSVsv_nomg(sv);
    if (cp_has_taint(aTHX_ sv))
        SvTAINTED_on(copy);
    return copy;
}

cp_sv *cp_copy(cp_sv *value) {
    dTHXa(cp_perl);
    return CP(cp_copy_value(aTHX_ SV(value)));
}

void cp_taint(cp_sv *value) {
    dTHXa(cp_perl);
    if (TAINTING_get)
        SvTAINTED_on(SV(value));
}

int cp_is_tainted(cp_sv *value) {
    dTHXa(cp_perl);
    return cp_has_taint(aTHX_ SV(value));
}

int cp_is_only_tainted(SV *sv) {
    for (const MAGIC *mg = SvMAGIC(sv); mg; mg = mg->mg_moremagic)
        if (mg->mg_type != PERL_MAGIC_taint)
            return 0;
    return 1;
}

cp_sv *cp_share(cp_sv *value) { return CP(SvREFCNT_inc_simple_NN(SV(value))); }

/* Freeing a plain scalar, or one of several references, runs no Perl code. */
static int goes_quietly(SV *sv) {
    if (SvREFCNT(sv) > 1)
        return 1;
    if (SvTYPE(sv) == SVt_PVMG ? SvOBJECT(sv) || !cp_is_only_tainted(sv)
                               : SvTYPE(sv) > SVt_PVMG || SvTYPE(sv) == SVt_INVLIST)
        return 0;
    return !SvROK(sv) || (SvREFCNT(SvRV(sv)) > 1 && !SvWEAKREF(sv));
}

int cp_let_go(cp_sv *value) {
    if (!cp_perl || !goes_quietly(SV(value)))
        return 0;
    dTHXa(cp_perl);
    SvREFCNT_dec_NN(SV(value));
    return 1;
}

int cp_kind(cp_sv *value) {
    dTHXa(cp_perl);
    SV *sv = SV(value);
    if (SvROK(sv))
        return CP_REF;
    if (!SvOK(sv))
        return SvTYPE(sv) >= SVt_PVAV || isGV_with_GP(sv) ? CP_OTHER : CP_UNDEF;
    if (SvTYPE(sv) > SVt_PVMG)
        return SvPOK(sv) ? (SvUTF8(sv) ? CP_TEXT : CP_BYTES) : CP_OTHER;
    if (SvVOK(sv))
        return CP_OTHER;
    if (SvPOK(sv)) {
        /* A number that was also used as text is text; text with a number of its own (dualvar)
         * is both. */
        if (SvNIOK(sv) && !looks_like_number(sv))
            return CP_OTHER;
        return SvUTF8(sv) ? CP_TEXT : CP_BYTES;
    }
    if (SvIOK(sv) && !SvIsUV(sv))
        return CP_INT;
    return SvNOK(sv) ? CP_NUM : CP_OTHER;
}

int cp_ref_type(cp_sv *value) {
    SV *sv = SV(value);
    if (!SvROK(sv))
        return CP_REF_NONE;
    switch (SvTYPE(SvRV(sv))) {
    case SVt_PVCV: return CP_REF_CODE;
    case SVt_PVAV: return CP_REF_ARRAY;
    case SVt_PVHV: return CP_REF_HASH;
    default: return CP_REF_OTHER;
    }
}

int cp_is_defined(cp_sv *value) { return SvOK(SV(value)) ? 1 : 0; }

int64_t cp_int(cp_sv *value) {
    dTHXa(cp_perl);
    SV *sv = SV(value);
    if (SvROK(sv))
        return 0;
    /* A text that is no number is 0, without perl's warning. */
    if (!SvNIOK(sv) && !(SvPOK(sv) && looks_like_number(sv)))
        return 0;
    return (int64_t)SvIV_nomg(sv);
}

double cp_num(cp_sv *value) {
    dTHXa(cp_perl);
    return SvROK(SV(value)) ? 0 : SvNV_nomg(SV(value));
}

const char *cp_bytes(cp_sv *value, size_t *length) {
    dTHXa(cp_perl);
    SV *sv = SV(value);
    STRLEN n = 0;
    const char *bytes = "";
    if (SvPOK(sv))
        bytes = SvPV_nomg(sv, n);
    else if (!SvROK(sv) && SvOK(sv))
        bytes = SvPV_nomg(sv, n);
    *length = n;
    return bytes;
}

cp_sv *cp_referent(cp_sv *reference) {
    return SvROK(SV(reference)) ? CP(SvRV(SV(reference))) : NULL;
}

cp_sv *cp_new_ref(cp_sv *value) {
    dTHXa(cp_perl);
    return CP(newRV_inc(SV(value)));
}

/* ---- arrays and hashes ---- */

cp_sv *cp_new_array(void) {
    dTHXa(cp_perl);
    return CP(newAV());
}

cp_sv *cp_new_hash(void) {
    dTHXa(cp_perl);
    return CP(newHV());
}

/* A tied array would run its class's code to say how long it is: it counts as empty. */
static int is_tied(pTHX_ SV *container) {
    return SvRMAGICAL(container) && mg_find(container, PERL_MAGIC_tied);
}

int cp_is_plain_hash(cp_sv *hash) {
    dTHXa(cp_perl);
    return !is_tied(aTHX_ SV(hash)) && !SvREADONLY(SV(hash));
}

size_t cp_array_length(cp_sv *array) {
    dTHXa(cp_perl);
    return is_tied(aTHX_ SV(array)) ? 0 : (size_t)(AvFILLp((AV *)array) + 1);
}

cp_sv *cp_array_get(cp_sv *array, size_t index) {
    AV *av = (AV *)array;
    return index < cp_array_length(array) ? CP(AvARRAY(av)[index]) : NULL;
}

/* A push onto any other would run its class's code, or die. */
int cp_is_plain_array(cp_sv *array) {
    dTHXa(cp_perl);
    return !is_tied(aTHX_ SV(array)) && !SvREADONLY(SV(array));
}

void cp_array_push(cp_sv *array, cp_sv *value) {
    dTHXa(cp_perl);
    if (cp_is_plain_array(array))
        av_push((AV *)array, SV(value));
    else
        SvREFCNT_dec(SV(value));
}

void cp_array_unshift(cp_sv *array, cp_sv *value) {
    dTHXa(cp_perl);
    if (cp_is_plain_array(array)) {
        av_unshift((AV *)array, 1);
        if (av_store((AV *)array, 0, SV(value)))
            return;
    }
    SvREFCNT_dec(SV(value));
}

cp_sv *cp_hash_get(cp_sv *hash, const char *key, size_t length) {
    dTHXa(cp_perl);
    if (is_tied(aTHX_ SV(hash)))
        return NULL;
    /* In a restricted hash even a look at a key that it must not have would die. */
    if (SvREADONLY(SV(hash)) && !hv_exists((HV *)hash, key, (I32)length))
        return NULL;
    SV **slot = hv_fetch((HV *)hash, key, (I32)length, 0);
    return slot ? CP(*slot) : NULL;
}

cp_sv *cp_new_key(const char *bytes, size_t length) {
    dTHXa(cp_perl);
    return CP(newSVpvn_share(bytes, (I32)length, 0));
}

cp_sv *cp_copy_as_key(cp_sv *value) {
    SV *sv = SV(value);
    return SvPOK(sv) && !SvROK(sv) && !SvUTF8(sv) ? cp_new_key(SvPVX(sv), SvCUR(sv))
                                                  : cp_copy(value);
}

/* Whether what is in a hash is all there is to its keys: some kinds of magic ask code. */
static int has_own_keys(HV *hash) {
    for (MAGIC *mg = SvMAGICAL((SV *)hash) ? SvMAGIC((SV *)hash) : NULL; mg; mg = mg->mg_moremagic)
        if (mg->mg_type != PERL_MAGIC_ext && mg->mg_type != PERL_MAGIC_overload_table)
            return 0;
    return HvSHAREKEYS(hash);
}

/* Hashes that share keys have the same copy of a key, so that its address tells whether it is the
 * one. A key that was once written as UTF-8 has a copy of its own: perl knows. */
HE *cp_find_entry(HV *hash, SV *key) {
    if (!has_own_keys(hash) || !HvARRAY(hash))
        return NULL;
    HEK *hek = SvSHARED_HEK_FROM_PV(SvPVX_const(key));
    HE *entry = HvARRAY(hash)[HEK_HASH(hek) & HvMAX(hash)];
    while (entry && HeKEY_hek(entry) != hek)
        entry = HeNEXT(entry);
    return entry && HeVAL(entry) != &PL_sv_placeholder ? entry : NULL;
}

cp_sv *cp_hash_find(cp_sv *hash, cp_sv *key) {
    dTHXa(cp_perl);
    HV *hv = (HV *)hash;
    HE *entry = cp_find_entry(hv, SV(key));
    if (entry)
        return CP(HeVAL(entry));
    if (has_own_keys(hv) && !HvHASKFLAGS(hv))
        return NULL;
    return cp_hash_get(hash, SvPVX(SV(key)), SvCUR(SV(key)));
}

void cp_hash_set(cp_sv *hash, const char *key, size_t length, cp_sv *value) {
    dTHXa(cp_perl);
    if (is_tied(aTHX_ SV(hash)) || SvREADONLY(SV(hash)) ||
        !hv_store((HV *)hash, key, (I32)length, SV(value), 0))
        SvREFCNT_dec(SV(value));
}

cp_sv *cp_global_scalar(const char *name) {
    dTHXa(cp_perl);
    return CP(get_sv(name, GV_ADD));
}

cp_sv *cp_glob(const char *name) {
    dTHXa(cp_perl);
    return CP(gv_fetchpv(name, GV_ADD, SVt_PV));
}

cp_sv *cp_glob_scalar(cp_sv *glob) { return isGV_with_GP(SV(glob)) ? CP(GvSV((GV *)glob)) : NULL; }

cp_sv *cp_code(const char *name) {
    dTHXa(cp_perl);
    return CP(get_cv(name, 0));
}

/* ---- copies ---- */

/* What lies deeper is shared, so that a long chain cannot exhaust the stack. */
#define DEEPEST_COPY 200

struct copying {
    size_t limit;
    size_t *shared;
    PTR_TBL_t *seen;
    int depth;
    AV *weak; /* copies of weak references to plain containers: made weak at the end */
    SV *path[DEEPEST_COPY + 2]; /* the containers that are being copied, from the outermost on */
    int is_cyclic;
    cp_made made; /* the copies */
};

static SV *copy_value(pTHX_ SV *sv, struct copying *c);

static SV *copy_container(pTHX_ SV *container, struct copying *c) {
    SV *known = (SV *)ptr_table_fetch(c->seen, container);
    if (known) {
        for (int i = 0; i < c->depth && !c->is_cyclic; i++)
            c->is_cyclic = c->path[i] == container;
        return SvREFCNT_inc_simple_NN(known);
    }
    c->path[c->depth++] = container;
    if (SvTYPE(container) == SVt_PVAV) {
        AV *from = (AV *)container;
        AV *to = newAV();
        ptr_table_store(c->seen, from, to);
        cp_made_add(&c->made, (SV *)to);
        SSize_t last = av_top_index(from);
        av_extend(to, last);
        for (SSize_t i = 0; i <= last; i++) {
            SV **slot = av_fetch(from, i, 0);
            if (slot)
                av_store(to, i, copy_value(aTHX_ *slot, c));
        }
        c->depth--;
        return (SV *)to;
    }
    HV *from = (HV *)container;
    HV *to = newHV();
    ptr_table_store(c->seen, from, to);
    cp_made_add(&c->made, (SV *)to);
    HE *entry;
    hv_iterinit(from);
    while ((entry = hv_iternext(from))) {
        HEK *key = HeKEY_hek(entry);
        SV *value = cp_is_session_key(HeVAL(entry)) ? SvREFCNT_inc_simple_NN(HeVAL(entry))
                                              : copy_value(aTHX_ HeVAL(entry), c);
        I32 length = HEK_UTF8(key) ? -HEK_LEN(key) : HEK_LEN(key);
        if (!hv_store(to, HEK_KEY(key), length, value, 0))
            SvREFCNT_dec(value);
    }
    c->depth--;
    return (SV *)to;
}

static SV *copy_value(pTHX_ SV *sv, struct copying *c) {
    if (SvROK(sv) && cp_is_plain_container(SvRV(sv))) {
        SV *container = SvRV(sv);
        if (SvWEAKREF(sv)) {
            /* Whether what it points to is copied is known at the end. */
            SV *copy = newSVsv_nomg(sv);
            av_push(c->weak, SvREFCNT_inc_simple_NN(copy));
            return copy;
        }
        size_t size = SvTYPE(container) == SVt_PVAV ? (size_t)(av_top_index((AV *)container) + 1)
                                                    : (size_t)HvUSEDKEYS((HV *)container);
        if (size <= c->limit && c->depth < DEEPEST_COPY)
            return newRV_noinc(copy_container(aTHX_ container, c));
        (*c->shared)++;
    }
    SV *copy = cp_copy_value(aTHX_ sv);
    if (SvROK(sv) && SvWEAKREF(sv))
        sv_rvweaken(copy);
    return copy;
}

/* A weak reference points to the copy of what it pointed to, or to the same where that is not
 * among what was copied. */
static void weaken_copies(pTHX_ struct copying *c) {
    for (SSize_t i = 0; i <= AvFILLp(c->weak); i++) {
        SV *copy = AvARRAY(c->weak)[i];
        SV *now = (SV *)ptr_table_fetch(c->seen, SvRV(copy));
        if (now) {
            SV *old = SvRV(copy);
            SvRV_set(copy, SvREFCNT_inc_simple_NN(now));
            SvREFCNT_dec_NN(old);
        }
        sv_rvweaken(copy);
    }
}

static void end_copying(pTHX_ struct copying *c) {
    SvREFCNT_dec((SV *)c->weak);
    ptr_table_free(c->seen);
    Safefree(c->made.list);
}

cp_sv *cp_copy_contents(cp_sv *object, size_t limit, size_t *shared) {
    dTHXa(cp_perl);
    struct copying c = {.limit = limit, .shared = shared, .seen = ptr_table_new(), .weak = newAV()};
    SV *hash = SvROK(SV(object)) ? SvRV(SV(object)) : SV(object);
    SV *copy = copy_container(aTHX_ hash, &c);
    weaken_copies(aTHX_ &c);
    if (c.is_cyclic)
        cp_free_cycles_with(aTHX_ copy, &c.made);
    end_copying(aTHX_ &c);
    return CP(copy);
}
