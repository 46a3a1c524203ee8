/*
 * The turns and ends of sessions: what a session has made of all heads is set aside while others have
 * theirs, and goes when it ends.
 */
#include "glue_exchange.h"

/* How often what DESTROY changes at a session's end is set back. */
#define ROUNDS 4

/* In the place of a head: a handle that the session has closed. */
#define HANDLE 0xffffffffU

struct cp_aside {
    size_t count, room;
    struct cp_taken *list;
};

/* The heads that hold something else than what was noted. */
static U32 *changed, changed_count, changed_room;

static void add_changed(U32 number) {
    if (changed_count == changed_room) {
        changed_room = changed_room ? changed_room * 2 : 64;
        Renew(changed, changed_room, U32);
    }
    changed[changed_count++] = number;
}

/* The heads that are compared, as they are not watched; and up to which head that was looked at. */
static U32 *compared, compared_count, compared_room, looked_at;

void cp_compare_anew(void) { compared_count = looked_at = 0; }

static void look_at_new(void) {
    for (; looked_at < cp_head_count; looked_at++) {
        if (cp_heads[looked_at].marks & CP_WATCHED)
            continue;
        if (compared_count == compared_room) {
            compared_room = compared_room ? compared_room * 2 : 256;
            Renew(compared, compared_room, U32);
        }
        compared[compared_count++] = looked_at;
    }
}

static void find_changed(pTHX_ U32 from) {
    const U32 *dirty;
    changed_count = 0;
    look_at_new();
    for (U32 i = 0; i < compared_count; i++) {
        const U32 number = compared[i];
        if (number >= from && !cp_head_same(aTHX_ &cp_heads[number]))
            add_changed(number);
        /* A glob may have got a variable. */
        if (looked_at < cp_head_count)
            look_at_new();
    }
    const U32 count = cp_dirty(&dirty);
    for (U32 i = 0; i < count; i++)
        if (dirty[i] >= from && !cp_head_same(aTHX_ &cp_heads[dirty[i]]))
            add_changed(dirty[i]);
}

static void add_taken(cp_aside *aside, struct cp_taken taken) {
    if (aside->count == aside->room) {
        aside->room = aside->room ? aside->room * 2 : 4;
        Renew(aside->list, aside->room, struct cp_taken);
    }
    aside->list[aside->count++] = taken;
}

/* What had been called and destroyed when everything was as noted. */
static UV calls_then, destroyed_then;

static void take_handles(pTHX_ cp_aside *aside) {
    for (size_t which = 0; cp_reopen_handle(aTHX_ &which); which++)
        add_taken(aside, (struct cp_taken){HANDLE, 0, newSV(0), (IV)which, NULL});
}

/* perl draws up its classes by each @ISA: when all are what they are to be, as they might form a circle on
 * the way. One that a session has made a circle of, and perl refused, stays untold. */
static int is_circle(pTHX_ HV *stash, int depth) {
    SV **slot = stash ? hv_fetchs(stash, "ISA", 0) : NULL;
    AV *isa = slot && isGV_with_GP(*slot) ? GvAV((GV *)*slot) : NULL;
    for (SSize_t i = 0; isa && !mg_find((SV *)isa, PERL_MAGIC_tied) && i <= AvFILLp(isa); i++) {
        SV *name = AvARRAY(isa)[i];
        HV *parent = name && SvPOK(name) ? gv_stashsv(name, 0) : NULL;
        if (depth > 50 || (parent && is_circle(aTHX_ parent, depth + 1)))
            return 1;
    }
    return 0;
}

static void tell_classes(pTHX_ const cp_aside *aside) {
    for (size_t i = 0; i < aside->count; i++) {
        if (aside->list[i].head == HANDLE || cp_heads[aside->list[i].head].kind != CP_HEAD_ARRAY)
            continue;
        SV *array = cp_heads[aside->list[i].head].sv;
        MAGIC *mg = SvMAGICAL(array) ? mg_find(array, PERL_MAGIC_isa) : NULL;
        SV *glob = mg ? mg->mg_obj : NULL;
        HV *stash = glob && isGV_with_GP(glob) ? GvSTASH((GV *)glob) : NULL;
        if (stash && HvENAME_HEK(stash) && !is_circle(aTHX_ stash, 0))
            mg_set(array);
    }
}

static void take_changed(pTHX_ cp_aside *aside) {
    /* A hash with magic has its keys as temporary values. */
    ENTER;
    SAVETMPS;
    while (changed_count) {
        const U32 known = cp_head_count;
        for (U32 i = 0; i < changed_count; i++) {
            struct cp_taken taken;
            if (cp_take_head(aTHX_ changed[i], &taken))
                add_taken(aside, taken);
        }
        changed_count = 0;
        /* A package has come. */
        if (cp_head_count > known)
            find_changed(aTHX_ known);
    }
    tell_classes(aTHX_ aside);
    cp_dirty_clear();
    FREETMPS;
    LEAVE;
}

cp_aside *cp_exchange_take(void) {
    dTHXa(cp_perl);
    cp_aside aside = {0};
    take_handles(aTHX_ &aside);
    find_changed(aTHX_ 0);
    take_changed(aTHX_ &aside);
    cp_forget_lost(aTHX);
    calls_then = cp_calls;
    (void)cp_has_destroyed(&destroyed_then);
    if (!aside.count)
        return NULL;
    cp_aside *kept;
    Newx(kept, 1, cp_aside);
    *kept = aside;
    Renew(kept->list, kept->count, struct cp_taken);
    kept->room = kept->count;
    return kept;
}

static cp_aside *putting;

static int put_all(pTHX) {
    cp_aside *aside = putting;
    for (size_t i = 0; i < aside->count; i++)
        if (aside->list[i].head == HANDLE)
            cp_close_handle(aTHX_ (size_t)aside->list[i].place);
        else
            cp_put_head(aTHX_ & aside->list[i]);
    tell_classes(aTHX_ aside);
    /* What the boxes hold now is what was noted, which others hold, too. */
    for (size_t i = 0; i < aside->count; i++)
        SvREFCNT_dec_NN(aside->list[i].box);
    return CP_OK;
}

int cp_exchange_put(cp_aside *aside) {
    putting = aside;
    const int outcome = cp_guard(put_all);
    Safefree(aside->list);
    Safefree(aside);
    return outcome;
}

cp_sv *cp_aside_give_up(cp_aside *aside) {
    if (aside->count)
        return CP(aside->list[--aside->count].box);
    Safefree(aside->list);
    Safefree(aside);
    return NULL;
}

/* ---- a session's end ---- */

/* Objects that the session has made go first, as at the end of a process: while their DESTROY runs,
 * everything else is there. */
static void collect_objects(pTHX_ SV *sv, AV *slots, PTR_TBL_t *seen, int depth);

static void collect_value(pTHX_ SV *value, AV *slots, PTR_TBL_t *seen, int depth) {
    if (!value || !SvROK(value) || cp_head_of(aTHX_ SvRV(value)))
        return;
    SV *target = SvRV(value);
    if (SvOBJECT(target)) {
        if (!SvWEAKREF(value) && !SvREADONLY(value) && SvTYPE(value) <= SVt_PVMG && !SvMAGICAL(value))
            av_push(slots, SvREFCNT_inc_simple_NN(value));
        return;
    }
    if (cp_is_plain_container(target) || SvTYPE(target) <= SVt_PVMG)
        collect_objects(aTHX_ target, slots, seen, depth + 1);
}

static void collect_objects(pTHX_ SV *sv, AV *slots, PTR_TBL_t *seen, int depth) {
    if (depth > 100 || ptr_table_fetch(seen, sv))
        return;
    ptr_table_store(seen, sv, sv);
    if (SvTYPE(sv) == SVt_PVAV) {
        for (SSize_t i = 0; i <= AvFILLp((AV *)sv); i++)
            collect_value(aTHX_ AvARRAY((AV *)sv)[i], slots, seen, depth);
    } else if (SvTYPE(sv) == SVt_PVHV) {
        HV *hash = (HV *)sv;
        for (STRLEN i = 0; HvARRAY(hash) && i <= HvMAX(hash); i++)
            for (HE *entry = HvARRAY(hash)[i]; entry; entry = HeNEXT(entry))
                collect_value(aTHX_ HeVAL(entry), slots, seen, depth);
    } else if (SvTYPE(sv) <= SVt_PVMG) {
        collect_value(aTHX_ sv, slots, seen, depth);
    }
}

static void destroy_objects(pTHX) {
    AV *slots = NULL;
    PTR_TBL_t *seen = NULL;
    for (U32 i = 0; i < changed_count; i++) {
        struct cp_head *head = &cp_heads[changed[i]];
        if (head->kind > CP_HEAD_HASH)
            continue;
        if (!slots) {
            slots = newAV();
            seen = ptr_table_new();
        }
        collect_objects(aTHX_ head->sv, slots, seen, 0);
    }
    if (!slots)
        return;
    ptr_table_free(seen);
    sv_2mortal((SV *)slots);
    for (SSize_t i = 0; i <= AvFILLp(slots); i++) {
        SV *slot = AvARRAY(slots)[i];
        if (!SvROK(slot) || SvWEAKREF(slot) || SvREADONLY(slot))
            continue;
        SV *object = SvRV(slot);
        SvROK_off(slot);
        SvRV_set(slot, NULL);
        SvREFCNT_dec_NN(object);
    }
}

static int end_all(pTHX) {
    UV mark;
    for (size_t which = 0; cp_reopen_handle(aTHX_ &which);)
        which++;
    (void)cp_has_destroyed(&mark);
    find_changed(aTHX_ 0);
    if (changed_count)
        destroy_objects(aTHX);
    for (int round = 0; round < ROUNDS; round++) {
        /* What DESTROY has done to the variables counts for nobody. */
        if (round || cp_has_destroyed(&mark))
            find_changed(aTHX_ 0);
        if (!changed_count)
            break;
        cp_aside aside = {0};
        take_changed(aTHX_ &aside);
        for (size_t i = 0; i < aside.count; i++)
            SvREFCNT_dec_NN(aside.list[i].box);
        Safefree(aside.list);
        FREETMPS;
        if (!cp_has_destroyed(&mark))
            break;
    }
    return CP_OK;
}

int cp_exchange_end(void) {
    dTHXa(cp_perl);
    const int outcome = cp_guard(end_all);
    cp_forget_lost(aTHX);
    calls_then = cp_calls;
    (void)cp_has_destroyed(&destroyed_then);
    return outcome;
}

int cp_exchange_begin(void) {
    const int is_clean = calls_then == cp_calls && !cp_has_destroyed(&destroyed_then);
    return is_clean ? CP_OK : cp_exchange_end();
}

void cp_exchange_note(void) {
    dTHXa(cp_perl);
    cp_note_from(aTHX_ 0);
    cp_forget_lost(aTHX);
    cp_dirty_clear();
}

void cp_exchange_note_from(size_t first) {
    dTHXa(cp_perl);
    cp_note_from(aTHX_ (U32)first);
}

size_t cp_exchange_size(void) { return cp_head_count; }
