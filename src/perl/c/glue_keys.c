/*
 * Keys of objects that are read and written in Rust: the elements have magic. What a key means is Rust's.
 *
 * Most objects of a session are never looked into. Until somebody does, the elements of such an object wait:
 * they are those of all objects of its kind, and the hash has magic that gives it its own as soon as a key is
 * asked for. Only what walks through a hash in C without asking for anything (Data::Dumper) meets them as they
 * are; they show the state of the session's present object, and an object that ceases to be that waits no
 * longer (cp_not_shown).
 */
#include "glue_perl.h"

/* In mg_private beside the index of a key. */
#define LOOKED 0x8000

/* A key of an object that is read and written in Rust. The element may outlive the object's hash
 * (\$object->{key}), so it has a counted pointer of its own to the state. */
/* The magic that keeps an element's taint stands behind the one that finds its value: it would tell of the last
 * one's. */
static void taint_last(pTHX_ SV *sv) {
    MAGIC *taint = mg_find(sv, PERL_MAGIC_taint), **at = &((XPVMG *)SvANY(sv))->xmg_u.xmg_magic;
    if (!taint || !taint->mg_moremagic)
        return;
    while (*at != taint)
        at = &(*at)->mg_moremagic;
    *at = taint->mg_moremagic;
    while (*at)
        at = &(*at)->mg_moremagic;
    taint->mg_moremagic = NULL;
    *at = taint;
}

/* Puts what was found into an element, of whose magic some comes after this, and tells the expression that looks
 * of its taint. */
static void show(pTHX_ SV *sv, SV *value, int was_tainted) {
    const int is_tainted = cp_has_taint(aTHX_ value);
    TAINT_NOT;
    sv_setsv_nomg(sv, value);
    if (is_tainted) {
        SvTAINTED_on(sv);
        taint_last(aTHX_ sv);
    } else {
        SvTAINTED_off(sv);
    }
    TAINT_set(was_tainted || is_tainted);
    SvREFCNT_dec_NN(value);
}

static int key_get(pTHX_ SV *sv, MAGIC *mg) {
    const int was_tainted = TAINT_get ? 1 : 0;
    SV *value = mg->mg_ptr ? SV(camelpost_key_get(mg->mg_private & ~LOOKED, mg->mg_ptr)) : NULL;
    TAINT_set(was_tainted);
    if (value)
        show(aTHX_ sv, value, was_tainted);
    return 0;
}

/* Elements in which a look has left something: a reference must not keep alive what the session has let go. */
typedef AV *looks;

static looks looked_at, walked_over;

static int remember_look(pTHX_ looks *list, SV *sv, MAGIC *mg) {
    if (!(mg->mg_private & LOOKED)) {
        mg->mg_private |= LOOKED;
        if (!*list)
            *list = newAV();
        av_push(*list, SvREFCNT_inc_simple_NN(sv));
    }
    return 0;
}

static int session_key_get(pTHX_ SV *sv, MAGIC *mg) {
    key_get(aTHX_ sv, mg);
    return SvROK(sv) ? remember_look(aTHX_ &looked_at, sv, mg) : 0;
}

/* That of all objects of a kind, for which somebody walks through the hash of one. Whatever is found goes
 * afterwards: it is one session's, and the element is all sessions'. */
static int waiting_key_get(pTHX_ SV *sv, MAGIC *mg) {
    if (aTHX != cp_perl) /* a thread's copy */
        return 0;
    const int was_tainted = TAINT_get ? 1 : 0;
    SV *value = SV(camelpost_key_now(mg->mg_private & ~LOOKED));
    TAINT_set(was_tainted);
    /* Whoever walks over what was found before may not be done. */
    if (SvROK(sv) && walked_over)
        av_push(walked_over, newRV_inc(SvRV(sv)));
    if (value)
        show(aTHX_ sv, value, was_tainted);
    return remember_look(aTHX_ &walked_over, sv, mg);
}

static int key_set(pTHX_ SV *sv, MAGIC *mg) {
    /* perl's magic, which says so of the element, comes after this. */
    const int was_tainted = TAINT_get ? 1 : 0;
    if (!was_tainted)
        SvTAINTED_off(sv);
    taint_last(aTHX_ sv);
    if (mg->mg_ptr)
        camelpost_key_set(mg->mg_private & ~LOOKED, mg->mg_ptr, CP(sv));
    TAINT_set(was_tainted);
    return 0;
}

static int key_free(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    const int was_tainted = TAINT_get ? 1 : 0;
    if (mg->mg_ptr)
        camelpost_key_free(mg->mg_private & ~LOOKED, mg->mg_ptr);
    mg->mg_ptr = NULL;
    cp_release_held(aTHX);
    TAINT_set(was_tainted);
    return 0;
}

/* A localised key is a plain element. */
static int key_local(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    PERL_UNUSED_ARG(mg);
    return 0;
}

static const MGVTBL key_vtbl = {key_get, key_set, NULL, NULL, key_free, NULL, cp_dup_without_data, key_local};
static const MGVTBL waiting_key_vtbl = {waiting_key_get, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
static const MGVTBL session_key_vtbl = {session_key_get, key_set, NULL,     NULL,
                                     key_free,     NULL,    cp_dup_without_data, key_local};

/* ---- objects of a kind ---- */

static struct kind {
    size_t count;
    struct key {
        SV *name; /* a text that perl shares */
        SV *waiting;
        int32_t index;
    } *keys;
} kinds[CP_KINDS];

void cp_add_key(uint16_t kind, const char *key, size_t length, int32_t index) {
    dTHXa(cp_perl);
    struct kind *k = &kinds[kind];
    Renew(k->keys, k->count + 1, struct key);
    SV *waiting = newSV(0);
    MAGIC *mg = sv_magicext(waiting, NULL, PERL_MAGIC_ext, &waiting_key_vtbl, NULL, 0);
    mg->mg_private = (U16)index;
    k->keys[k->count++] = (struct key){newSVpvn_share(key, (I32)length, 0), waiting, index};
}

static void store(pTHX_ HV *hash, SV *name, SV *element) {
    if (!hv_store_ent(hash, name, element, SvSHARED_HASH(name)))
        SvREFCNT_dec(element);
}

static SV *new_element(pTHX_ const MGVTBL *vtbl, int32_t index, void *data) {
    SV *element = newSV(0);
    MAGIC *mg = sv_magicext(element, NULL, PERL_MAGIC_ext, vtbl, (char *)data, 0);
    mg->mg_private = (U16)index;
    mg->mg_flags |= MGf_DUP | MGf_LOCAL;
    return element;
}

static void give_keys(pTHX_ HV *hash, uint16_t kind, void *data) {
    const struct kind *k = &kinds[kind];
    for (size_t i = 0; i < k->count; i++) {
        camelpost_share(kind, data);
        store(aTHX_ hash, k->keys[i].name, new_element(aTHX_ &key_vtbl, k->keys[i].index, data));
    }
}

static int look_into(pTHX_ SV *hash, MAGIC *mg);

/* With a get and a set, perl asks the function below before it looks a key up (hv_common). */
static const MGVTBL waits_vtbl = {look_into, look_into, NULL, NULL, NULL, NULL, NULL, NULL};

static I32 key_wanted(pTHX_ IV action, SV *hash) {
    PERL_UNUSED_ARG(action);
    cp_look_into(aTHX_ hash);
    return 0;
}

static struct ufuncs waits = {key_wanted, NULL, 0};

static int look_into(pTHX_ SV *hash, MAGIC *mg) {
    const uint16_t kind = mg->mg_private;
    const int was_tainted = TAINT_get ? 1 : 0;
    mg->mg_virtual = NULL;
    SvMAGICAL_off(hash);
    mg_magical(hash);
    void *data = cp_object_data(CP(hash), kind);
    if (data)
        give_keys(aTHX_ (HV *)hash, kind, data);
    TAINT_set(was_tainted);
    return 0;
}

void cp_look_into(pTHX_ SV *hash) {
    for (MAGIC *mg = SvMAGIC(hash); mg; mg = mg->mg_moremagic)
        if (mg->mg_virtual == &waits_vtbl) {
            look_into(aTHX_ hash, mg);
            return;
        }
}

void cp_bind_keys(cp_sv *object, uint16_t kind, int may_wait) {
    dTHXa(cp_perl);
    HV *hash = (HV *)SvRV(SV(object));
    const struct kind *k = &kinds[kind];
    if (k->count > 8) /* which is what an empty hash has room for */
        hv_ksplit(hash, (IV)k->count);
    if (!may_wait) {
        give_keys(aTHX_ hash, kind, cp_object_data(object, kind));
        return;
    }
    for (size_t i = 0; i < k->count; i++)
        store(aTHX_ hash, k->keys[i].name, SvREFCNT_inc_simple_NN(k->keys[i].waiting));
    MAGIC *mg = sv_magicext((SV *)hash, NULL, PERL_MAGIC_uvar, &waits_vtbl, (char *)&waits, 0);
    mg->mg_private = kind;
}

void cp_not_shown(cp_sv *reference) {
    if (!cp_perl)
        return;
    dTHXa(cp_perl);
    SV *sv = SV(reference);
    if (SvROK(sv) && SvREFCNT(SvRV(sv)) > 1 && SvTYPE(SvRV(sv)) == SVt_PVHV && SvMAGICAL(SvRV(sv)))
        cp_look_into(aTHX_ SvRV(sv));
}

/* ---- objects of sessions ---- */

void cp_bind_session_key(cp_sv *object, const char *key, size_t length, int32_t index, void *data) {
    dTHXa(cp_perl);
    HV *hash = (HV *)SvRV(SV(object));
    SV *name = sv_2mortal(newSVpvn_share(key, (I32)length, 0));
    store(aTHX_ hash, name, new_element(aTHX_ &session_key_vtbl, index, data));
}

static MAGIC *looked_key(SV *sv) {
    MAGIC *mg = SvTYPE(sv) < SVt_PVMG ? NULL : SvMAGIC(sv);
    while (mg && mg->mg_virtual != &session_key_vtbl && mg->mg_virtual != &waiting_key_vtbl)
        mg = mg->mg_moremagic;
    return mg;
}

int cp_is_session_key(SV *sv) {
    MAGIC *mg = looked_key(sv);
    return mg && mg->mg_virtual == &session_key_vtbl;
}

static int any(looks list) { return list && AvFILLp(list) >= 0; }

int cp_looked(void) { return any(looked_at); }
int cp_walked(void) { return any(walked_over); }

static void forget(pTHX_ looks list) {
    while (any(list)) {
        SV *sv = av_pop(list);
        MAGIC *mg = looked_key(sv);
        if (mg)
            mg->mg_private &= (U16)~LOOKED;
        if (SvROK(sv)) {
            SV *value = SvRV(sv);
            SvOK_off(sv);
            SvRV_set(sv, NULL);
            SvREFCNT_dec(value);
        } else if (mg && mg->mg_virtual == &waiting_key_vtbl) {
            SvOK_off(sv);
        }
        SvREFCNT_dec(sv);
    }
}

static int forget_looks(pTHX) {
    forget(aTHX_ looked_at);
    return CP_OK;
}

static int forget_walks(pTHX) {
    forget(aTHX_ walked_over);
    return CP_OK;
}

int cp_forget_looks(void) { return cp_guard(forget_looks); }
int cp_forget_walks(void) { return cp_guard(forget_walks); }
