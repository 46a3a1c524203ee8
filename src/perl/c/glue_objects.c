/*
 * Objects that own Rust state, and questions about classes. What the state is, is Rust's.
 */
#include "glue_perl.h"

/* What a state held goes with it, as the values of any hash do. Not where Rust code is on top: it
 * releases at its own safe points. */
void cp_release_held(pTHX) {
    SV *held;
    while (cp_in_perl && (held = SV(camelpost_next_dropped())) != NULL)
        SvREFCNT_dec_NN(held);
}

static int free_data(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    const int was_tainted = TAINT_get ? 1 : 0;
    if (mg->mg_ptr)
        camelpost_free(mg->mg_private, mg->mg_ptr);
    mg->mg_ptr = NULL;
    cp_release_held(aTHX);
    TAINT_set(was_tainted);
    return 0;
}

/* A thread's copy of the object has no state: it belongs to one interpreter. */
int cp_dup_without_data(pTHX_ MAGIC *mg, CLONE_PARAMS *params) {
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}

static const MGVTBL data_vtbl = {NULL, NULL, NULL, NULL, free_data, NULL, cp_dup_without_data, NULL};

cp_sv *cp_new_object(const char *class_name, cp_sv *class_sv, uint16_t kind, void *data) {
    dTHXa(cp_perl);
    HV *hash = newHV();
    MAGIC *mg = sv_magicext((SV *)hash, NULL, PERL_MAGIC_ext, &data_vtbl, (char *)data, 0);
    mg->mg_private = kind;
    mg->mg_flags |= MGf_DUP;
    SV *reference = newRV_noinc((SV *)hash);
    SV *given = SV(class_sv);
    /* Only a name: an object or undef would run code, or warn, on its way to a text. */
    HV *stash = given && SvPOK(given) && SvCUR(given)
                    ? gv_stashpvn(SvPVX(given), (U32)SvCUR(given), GV_ADD | SvUTF8(given))
                    : gv_stashpv(class_name, GV_ADD);
    return CP(sv_bless(reference, stash));
}

void cp_bless(cp_sv *reference, const char *class_name) {
    dTHXa(cp_perl);
    sv_bless(SV(reference), gv_stashpv(class_name, GV_ADD));
}

int cp_attach(cp_sv *object, uint16_t kind, void *data) {
    dTHXa(cp_perl);
    SV *hash = SV(object);
    if (!SvROK(hash) || SvTYPE(SvRV(hash)) != SVt_PVHV)
        return 0;
    MAGIC *mg = sv_magicext(SvRV(hash), NULL, PERL_MAGIC_ext, &data_vtbl, (char *)data, 0);
    mg->mg_private = kind;
    mg->mg_flags |= MGf_DUP;
    return 1;
}

static MAGIC *data_magic(cp_sv *object, uint16_t kind) {
    SV *sv = SV(object);
    if (SvROK(sv))
        sv = SvRV(sv);
    if (SvTYPE(sv) < SVt_PVMG)
        return NULL;
    for (MAGIC *mg = SvMAGIC(sv); mg; mg = mg->mg_moremagic)
        if (mg->mg_type == PERL_MAGIC_ext && mg->mg_virtual == &data_vtbl && mg->mg_private == kind)
            return mg;
    return NULL;
}

void *cp_object_data(cp_sv *object, uint16_t kind) {
    MAGIC *mg = data_magic(object, kind);
    return mg ? mg->mg_ptr : NULL;
}

/* ---- classes ---- */

uint64_t cp_generation(pTHX_ HV *stash) {
    struct mro_meta *meta = HvMROMETA(stash);
    /* Each of them only grows. */
    return (uint64_t)PL_sub_generation + meta->pkg_gen + meta->cache_gen;
}

uint64_t cp_class_generation(cp_sv *object, uintptr_t *class_id) {
    dTHXa(cp_perl);
    SV *sv = SV(object);
    *class_id = 0;
    if (!SvROK(sv) || !SvOBJECT(SvRV(sv)))
        return 0;
    HV *stash = SvSTASH(SvRV(sv));
    *class_id = (uintptr_t)stash;
    return cp_generation(aTHX_ stash);
}

cp_sv *cp_find_method(cp_sv *invocant, const char *name, size_t length) {
    dTHXa(cp_perl);
    SV *sv = SV(invocant);
    HV *stash = SvROK(sv) && SvOBJECT(SvRV(sv)) ? SvSTASH(SvRV(sv))
                : SvPOK(sv)                     ? gv_stashsv(sv, 0)
                                                : NULL;
    GV *gv = stash ? gv_fetchmeth_pvn(stash, name, length, 0, 0) : NULL;
    return gv && isGV(gv) ? CP(GvCV(gv)) : NULL;
}

int cp_isa(cp_sv *invocant, const char *class_name) {
    dTHXa(cp_perl);
    SV *sv = SV(invocant);
    if (!SvMAGICAL(sv))
        return sv_derived_from(sv, class_name) ? 1 : 0;
    /* Perl would ask the magic again, which may run code: what counts is what it said when the value came. */
    SV *plain = newSV(0);
    CP_NEW_VALUE;
    sv_setsv_flags(plain, sv, 0);
    const int is_one = sv_derived_from(plain, class_name) ? 1 : 0;
    SvREFCNT_dec_NN(plain);
    return is_one;
}

void cp_include_first(cp_sv *code) {
    dTHXa(cp_perl);
    AV *inc = GvAVn(PL_incgv);
    av_unshift(inc, 1);
    av_store(inc, 0, SvREFCNT_inc_simple_NN(SV(code)));
}

cp_sv *cp_hooks(void) {
    static GV *gv;
    dTHXa(cp_perl);
    if (!gv)
        gv = gv_fetchpvs("Qpsmtpd::hooks", GV_ADD, SVt_PV);
    return CP(GvSVn(gv));
}

cp_sv *cp_hook_list(cp_sv *key) {
    SV *table = SV(cp_hooks());
    if (!SvROK(table) || SvTYPE(SvRV(table)) != SVt_PVHV)
        return NULL;
    return cp_hash_find(CP(SvRV(table)), key);
}
