/*
 * Magic on what is too large to be compared after each session: it tells that something may have
 * changed, and is compared then. On a hash, perl's own `uvar` magic, which is asked before each access;
 * on arrays and elements, magic that is told after each change.
 */
#include "glue_exchange.h"

static U32 *dirty, dirty_count, dirty_room;

/* Hashes that are watched, as magic is not told that one was emptied, put into another class, or iterated
 * over; and long arrays, for the last two. */
static U32 *hashes, hash_count, hash_room;

static void push(U32 **list, U32 *count, U32 *room, U32 number) {
    if (*count == *room) {
        *room = *room ? *room * 2 : 64;
        Renew(*list, *room, U32);
    }
    (*list)[(*count)++] = number;
}

void cp_mark_dirty(U32 number) {
    struct cp_head *head = &cp_heads[number];
    if (number >= cp_head_count || (head->marks & CP_DIRTY))
        return;
    head->marks |= CP_DIRTY;
    push(&dirty, &dirty_count, &dirty_room, number);
}

U32 cp_dirty(const U32 **list) {
    for (U32 i = 0; i < hash_count; i++) {
        const struct cp_head *head = &cp_heads[hashes[i]];
        HV *hash = (HV *)head->sv;
        const IV *place = head->kind == CP_HEAD_ARRAY ? cp_array_iterator((AV *)head->sv) : NULL;
        if (head->class != (SvOBJECT(head->sv) ? SvSTASH(head->sv) : NULL) ||
            (head->kind == CP_HEAD_ARRAY
                 ? place && *place != head->place
                 : HvTOTALKEYS(hash) != head->count || cp_hash_iterates(hash)))
            cp_mark_dirty(hashes[i]);
    }
    *list = dirty;
    return dirty_count;
}

void cp_dirty_clear(void) {
    for (U32 i = 0; i < dirty_count; i++)
        if (dirty[i] < cp_head_count)
            cp_heads[dirty[i]].marks &= (U8)~CP_DIRTY;
    dirty_count = 0;
}

static int changed(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_CONTEXT;
    const U32 number = (U32)PTR2UV(mg->mg_ptr);
    /* A `local` gives the value in its place the same magic. */
    if (number < cp_head_count && cp_heads[number].sv == sv)
        cp_mark_dirty(number);
    return 0;
}

static const MGVTBL scalar_vtbl = {NULL, changed, NULL, NULL, NULL, NULL, NULL, NULL};
static const MGVTBL array_vtbl = {NULL, changed, NULL, changed, NULL, NULL, NULL, NULL};

static I32 asked(pTHX_ IV action, SV *hash) {
    /* An element that may be assigned to later, through a reference or a loop, has magic of its own. */
    if (action & (HV_FETCH_ISSTORE | HV_FETCH_LVALUE | HV_DELETE)) {
        const U32 number = cp_head_of(aTHX_ hash);
        if (number)
            cp_mark_dirty(number - 1);
    }
    return 0;
}

/* Where an array has magic, perl turns it round or sorts it in its place by the values of its elements, so
 * that references to them see other values: without, it moves the elements. */
static Perl_ppaddr_t perl_reverse, perl_sort;

static OP *without_magic(pTHX_ Perl_ppaddr_t perl_op, int in_place) {
    AV *array = in_place && *PL_stack_sp && SvTYPE(*PL_stack_sp) == SVt_PVAV ? (AV *)*PL_stack_sp : NULL;
    MAGIC *mg = array && SvMAGICAL(array)
                    ? mg_findext((SV *)array, PERL_MAGIC_ext, &array_vtbl)
                    : NULL;
    if (!mg || SvGMAGICAL(array))
        return perl_op(aTHX);
    (void)changed(aTHX_ (SV *)array, mg);
    /* After a die in a comparison they come back when the array is looked at. */
    SvMAGICAL_off(array);
    OP *next = perl_op(aTHX);
    mg_magical((SV *)array);
    return next;
}

static OP *reverse_in_place(pTHX) {
    return without_magic(aTHX_ perl_reverse, PL_op->op_private & OPpREVERSE_INPLACE);
}

static OP *sort_in_place(pTHX) {
    return without_magic(aTHX_ perl_sort, PL_op->op_private & OPpSORT_INPLACE);
}

void cp_watch_orders(void) {
    if (perl_sort)
        return;
    perl_reverse = PL_ppaddr[OP_REVERSE];
    perl_sort = PL_ppaddr[OP_SORT];
    PL_ppaddr[OP_REVERSE] = reverse_in_place;
    PL_ppaddr[OP_SORT] = sort_in_place;
}

void cp_watch_head(pTHX_ struct cp_head *head, U32 number) {
    if (head->kind == CP_HEAD_HASH) {
        struct ufuncs functions = {asked, NULL, 0};
        sv_magic(head->sv, NULL, PERL_MAGIC_uvar, (char *)&functions, sizeof functions);
        push(&hashes, &hash_count, &hash_room, number);
        return;
    }
    if (head->kind > CP_HEAD_ARRAY)
        return;
    if (head->kind == CP_HEAD_ARRAY && head->count > CP_LARGE)
        push(&hashes, &hash_count, &hash_room, number);
    /* Perl gives no magic to what nobody may change. */
    if (SvREADONLY(head->sv) && head->kind == CP_HEAD_SCALAR && SvTYPE(head->sv) < SVt_PVMG) {
        head->marks &= (U8)~CP_WATCHED;
        return;
    }
    sv_magicext(head->sv, NULL, PERL_MAGIC_ext,
                head->kind == CP_HEAD_ARRAY ? &array_vtbl : &scalar_vtbl,
                (const char *)INT2PTR(void *, (UV)number), 0);
    /* The magic has changed the form of the scalar. */
    if (head->kind == CP_HEAD_SCALAR)
        (void)cp_head_same(aTHX_ head);
}

void cp_unwatch_head(pTHX_ struct cp_head *head) {
    if (head->kind == CP_HEAD_HASH)
        sv_unmagic(head->sv, PERL_MAGIC_uvar);
    else if (head->kind == CP_HEAD_ARRAY)
        sv_unmagicext(head->sv, PERL_MAGIC_ext, (MGVTBL *)&array_vtbl);
    else if (head->kind == CP_HEAD_SCALAR)
        sv_unmagicext(head->sv, PERL_MAGIC_ext, (MGVTBL *)&scalar_vtbl);
    head->marks &= (U8)~CP_WATCHED;
    hash_count = 0;
}
