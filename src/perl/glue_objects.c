/*
 * Objects that own Rust state, keys of objects that are read and written in Rust, and questions
 * about classes. What the state is and what a key means is Rust's.
 */
#include "glue_perl.h"

/* What a state held goes with it, as the values of any hash do. Not where Rust code is on top: it
 * releases at its own safe points. */
static void release_held(pTHX) {
    SV *held;
    while (cp_in_perl && (held = SV(camelpost_next_dropped())) != NULL)
        SvREFCNT_dec_NN(held);
}

static int free_data(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr)
        camelpost_free(mg->mg_private, mg->mg_ptr);
    mg->mg_ptr = NULL;
    release_held(aTHX);
    return 0;
}

/* A thread's copy of the object has no state: it belongs to one interpreter. */
static int dup_data(pTHX_ MAGIC *mg, CLONE_PARAMS *params) {
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}

static const MGVTBL data_vtbl = {NULL, NULL, NULL, NULL, free_data, NULL, dup_data, NULL};

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

/* In mg_private beside the index of a key. */
#define LOOKED 0x8000

/* A key of an object that is read and written in Rust. The element may outlive the object's hash
 * (\$object->{key}), so it has a counted pointer of its own to the state. */
static int key_get(pTHX_ SV *sv, MAGIC *mg) {
    SV *value = mg->mg_ptr ? SV(camelpost_key_get(mg->mg_private & ~LOOKED, mg->mg_ptr)) : NULL;
    if (value) {
        sv_setsv_nomg(sv, value);
        SvREFCNT_dec_NN(value);
    }
    return 0;
}

/* Keys of sessions in which a look has left a reference: it must not keep alive what the session
 * has let go. */
static AV *looked;

static int session_key_get(pTHX_ SV *sv, MAGIC *mg) {
    key_get(aTHX_ sv, mg);
    if (SvROK(sv) && !(mg->mg_private & LOOKED)) {
        mg->mg_private |= LOOKED;
        if (!looked)
            looked = newAV();
        av_push(looked, SvREFCNT_inc_simple_NN(sv));
    }
    return 0;
}

static int key_set(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_CONTEXT;
    if (mg->mg_ptr)
        camelpost_key_set(mg->mg_private & ~LOOKED, mg->mg_ptr, CP(sv));
    return 0;
}

static int key_free(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr)
        camelpost_key_free(mg->mg_private & ~LOOKED, mg->mg_ptr);
    mg->mg_ptr = NULL;
    release_held(aTHX);
    return 0;
}

/* A localised key is a plain element. */
static int key_local(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    PERL_UNUSED_ARG(mg);
    return 0;
}

static const MGVTBL key_vtbl = {key_get, key_set, NULL, NULL, key_free, NULL, dup_data, key_local};
static const MGVTBL session_key_vtbl = {session_key_get, key_set, NULL,     NULL,
                                     key_free,     NULL,    dup_data, key_local};

/* The same few keys are bound to each object: texts that perl shares, by where the caller has them. */
#define KNOWN_KEYS 256
static struct {
    const char *key;
    SV *shared;
} known_keys[KNOWN_KEYS];

static SV *known_key(pTHX_ const char *key, size_t length) {
    size_t at = (PTR2UV(key) >> 2) % KNOWN_KEYS;
    for (size_t tries = 0; tries < KNOWN_KEYS; tries++, at = (at + 1) % KNOWN_KEYS) {
        if (known_keys[at].key == key && SvCUR(known_keys[at].shared) == length)
            return known_keys[at].shared;
        if (!known_keys[at].key) {
            known_keys[at].key = key;
            return known_keys[at].shared = newSVpvn_share(key, (I32)length, 0);
        }
    }
    return newSVpvn_flags(key, length, SVs_TEMP);
}

static void bind_key(pTHX_ const MGVTBL *vtbl, cp_sv *object, const char *key, size_t length,
                     int32_t index, void *data) {
    SV *hash = SvROK(SV(object)) ? SvRV(SV(object)) : SV(object);
    SV *name = known_key(aTHX_ key, length);
    SV *element = newSV(0);
    MAGIC *mg = sv_magicext(element, NULL, PERL_MAGIC_ext, vtbl, (char *)data, 0);
    mg->mg_private = (U16)index;
    mg->mg_flags |= MGf_DUP | MGf_LOCAL;
    if (!hv_store_ent((HV *)hash, name, element, SvIsCOW_shared_hash(name) ? SvSHARED_HASH(name) : 0))
        SvREFCNT_dec(element);
}

void cp_reserve_keys(cp_sv *object, size_t count) {
    dTHXa(cp_perl);
    hv_ksplit((HV *)SvRV(SV(object)), (IV)count);
}

void cp_bind_key(cp_sv *object, const char *key, size_t length, int32_t index, void *data) {
    dTHXa(cp_perl);
    bind_key(aTHX_ &key_vtbl, object, key, length, index, data);
}

void cp_bind_session_key(cp_sv *object, const char *key, size_t length, int32_t index, void *data) {
    dTHXa(cp_perl);
    bind_key(aTHX_ &session_key_vtbl, object, key, length, index, data);
}

static MAGIC *session_key(SV *sv) {
    MAGIC *mg = SvTYPE(sv) < SVt_PVMG ? NULL : SvMAGIC(sv);
    while (mg && mg->mg_virtual != &session_key_vtbl)
        mg = mg->mg_moremagic;
    return mg;
}

int cp_is_session_key(SV *sv) { return session_key(sv) != NULL; }

int cp_looked(void) { return looked && AvFILLp(looked) >= 0; }

static int forget_looks(pTHX) {
    while (cp_looked()) {
        SV *sv = av_pop(looked);
        MAGIC *mg = session_key(sv);
        if (mg)
            mg->mg_private &= (U16)~LOOKED;
        if (SvROK(sv)) {
            SV *value = SvRV(sv);
            SvOK_off(sv);
            SvRV_set(sv, NULL);
            SvREFCNT_dec(value);
        }
        SvREFCNT_dec(sv);
    }
    return CP_OK;
}

int cp_forget_looks(void) { return cp_guard(forget_looks); }

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
    return sv_derived_from(SV(invocant), class_name) ? 1 : 0;
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
