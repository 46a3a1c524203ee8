/*
 * Magic on what is too large to be compared after each session: it tells that something may have
 * changed, and is compared then. On a hash, perl's own `uvar` magic, which is asked before each access;
 * on arrays and elements, magic that is told after each change.
 */
#include "glue_exchange.h"

int cp_small_watched;

static U32 *dirty, dirty_count, dirty_room;

/* Large hashes and arrays: looked at for what magic is not told of, a hash that was emptied, another class, an
 * iterator. For the many small ones that one may lead to, glue_watch_ops.c marks these. */
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
        if ((SvREADONLY(head->sv) && !head->flags && head->kind == CP_HEAD_ARRAY) ||
            (SvREADONLY(head->sv) && head->kind == CP_HEAD_HASH) || head->class != (SvOBJECT(head->sv) ? SvSTASH(head->sv) : NULL) ||
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

int cp_watched_changed(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_CONTEXT;
    const U32 number = (U32)PTR2UV(mg->mg_ptr);
    /* A `local` gives the value in its place the same magic. */
    if (number < cp_head_count && cp_heads[number].sv == sv)
        cp_mark_dirty(number);
    return 0;
}

static const MGVTBL scalar_vtbl = {NULL, cp_watched_changed, NULL, NULL, NULL, NULL, NULL, NULL};
const MGVTBL cp_array_vtbl = {NULL, cp_watched_changed, NULL, cp_watched_changed, NULL, NULL, NULL, NULL};

static I32 asked(pTHX_ IV action, SV *hash) {
    if (!(action & (HV_FETCH_ISSTORE | HV_FETCH_LVALUE | HV_DELETE)))
        return 0;
    const U32 number = cp_head_of(aTHX_ hash);
    /* `$hash{x}{y}` asks for $hash{x} as for something to assign to, and an element has magic of its own: what
     * counts is whether there is a new one, which a large hash's number of keys tells. */
    const int may_be_new = action & (HV_FETCH_ISSTORE | HV_DELETE);
    if (number && (may_be_new || cp_heads[number - 1].count <= CP_LARGE))
        cp_mark_dirty(number - 1);
    return 0;
}

void cp_watch_head(pTHX_ struct cp_head *head, U32 number) {
    if (head->kind == CP_HEAD_HASH) {
        struct ufuncs functions = {asked, NULL, 0};
        sv_magic(head->sv, NULL, PERL_MAGIC_uvar, (char *)&functions, sizeof functions);
        if (head->count > CP_LARGE)
            push(&hashes, &hash_count, &hash_room, number);
        else
            cp_small_watched = 1;
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
                head->kind == CP_HEAD_ARRAY ? &cp_array_vtbl : &scalar_vtbl,
                (const char *)INT2PTR(void *, (UV)number), 0);
    /* The magic has changed the form of the scalar. */
    if (head->kind == CP_HEAD_SCALAR)
        (void)cp_head_same(aTHX_ head);
}

void cp_unwatch_head(pTHX_ struct cp_head *head) {
    if (head->kind == CP_HEAD_HASH)
        sv_unmagic(head->sv, PERL_MAGIC_uvar);
    else if (head->kind == CP_HEAD_ARRAY)
        sv_unmagicext(head->sv, PERL_MAGIC_ext, (MGVTBL *)&cp_array_vtbl);
    else if (head->kind == CP_HEAD_SCALAR)
        sv_unmagicext(head->sv, PERL_MAGIC_ext, (MGVTBL *)&scalar_vtbl);
    head->marks &= (U8)~CP_WATCHED;
    hash_count = 0;
}
