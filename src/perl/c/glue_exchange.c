/*
 * Takes what a session has made of a head's contents, so that it holds again what was noted, and puts it
 * back. Between turns and sessions no Perl frame is active: no `local` is in force, nothing is iterated
 * over by a loop.
 */
#include "glue_exchange.h"

/* A container with more elements than this that changes is worth a word. */
#define TOO_LARGE 10000

/* ---- contents that change places ---- */

static void settle(SV *sv) {
    if (SvTYPE(sv) == SVt_IV)
        SET_SVANY_FOR_BODYLESS_IV(sv);
#if NVSIZE <= IVSIZE
    else if (SvTYPE(sv) == SVt_NV)
        SET_SVANY_FOR_BODYLESS_NV(sv);
#endif
}

static void swap_scalars(SV *a, SV *b) {
    void *any = a->sv_any;
    const U32 flags = a->sv_flags;
    a->sv_any = b->sv_any;
    a->sv_flags = b->sv_flags;
    b->sv_any = any;
    b->sv_flags = flags;
    char content[sizeof a->sv_u];
    memcpy(content, &a->sv_u, sizeof content);
    memcpy(&a->sv_u, &b->sv_u, sizeof content);
    memcpy(&b->sv_u, content, sizeof content);
    settle(a);
    settle(b);
}

/* Whether the whole body may change places: nothing refers to this head by magic, or from a list of
 * weak references. */
static int is_simple(SV *sv, const struct cp_head *head) {
    if (SvTYPE(sv) > SVt_PVMG || SvOBJECT(sv) || (SvROK(sv) && SvWEAKREF(sv)) || (head->marks & (CP_WATCHED | CP_WEAK)))
        return 0;
    for (MAGIC *mg = SvTYPE(sv) >= SVt_PVMG ? SvMAGIC(sv) : NULL; mg; mg = mg->mg_moremagic)
        if (mg->mg_type == PERL_MAGIC_backref || mg->mg_type == PERL_MAGIC_ext)
            return 0;
    return 1;
}

/* Where the last match has ended, plus one; 0: nowhere. */
static IV position_of(SV *sv) {
    MAGIC *mg = SvTYPE(sv) >= SVt_PVMG && SvMAGIC(sv) ? mg_find(sv, PERL_MAGIC_regex_global) : NULL;
    return mg ? (IV)mg->mg_len + 1 : 0;
}

static void set_position(pTHX_ SV *sv, IV place) {
    MAGIC *mg = SvTYPE(sv) >= SVt_PVMG && SvMAGIC(sv) ? mg_find(sv, PERL_MAGIC_regex_global) : NULL;
    if (!place) {
        if (mg)
            sv_unmagic(sv, PERL_MAGIC_regex_global);
        return;
    }
    if (!mg)
        mg = sv_magicext(sv, NULL, PERL_MAGIC_regex_global, &PL_vtbl_mglob, NULL, 0);
    mg->mg_len = (SSize_t)(place - 1);
}

static void set_scalar(pTHX_ SV *sv, SV *value, int is_tainted) {
    SvFLAGS(sv) &= ~(U32)(SVf_READONLY | SVf_PROTECT);
    set_position(aTHX_ sv, 0);
    sv_setsv_flags(sv, value ? value : &PL_sv_undef, SV_DO_COW_SVSETSV | SV_NOSTEAL);
    if (!TAINTING_get)
        return;
    if (is_tainted)
        SvTAINTED_on(sv);
    else
        SvTAINTED_off(sv);
}

/* A scalar is what was noted. What it held before is elsewhere, too. */
static void reset_scalar(pTHX_ struct cp_head *head) {
    SV *sv = head->sv;
    set_scalar(aTHX_ sv, head->as.value, head->marks & CP_TAINTED);
    SvFLAGS(sv) = (SvFLAGS(sv) & ~(U32)SVs_PADSTALE) | (head->flags & SVs_PADSTALE);
    if (head->flags & (SVf_READONLY | SVf_PROTECT) && !(head->marks & CP_EMPTY))
        SvFLAGS(sv) |= head->flags & (SVf_READONLY | SVf_PROTECT);
    if (head->marks & CP_WEAK && SvROK(sv))
        sv_rvweaken(sv);
    if (head->place)
        set_position(aTHX_ sv, head->place);
    (void)cp_head_same(aTHX_ head);
}

static SV *take_scalar(pTHX_ struct cp_head *head, U32 *weak) {
    SV *sv = head->sv, *box = newSV(0);
    *weak = SvROK(sv) && SvWEAKREF(sv);
    if (is_simple(sv, head)) {
        swap_scalars(sv, box);
    } else {
        sv_setsv_flags(box, sv, SV_NOSTEAL);
        cp_take_taint(aTHX_ box, sv);
    }
    /* A handle on the scalar in memory takes for granted that it is a text. */
    if (SvTYPE(box) >= SVt_PV && SvTYPE(sv) < SVt_PV)
        sv_upgrade(sv, SVt_PV);
    reset_scalar(aTHX_ head);
    return box;
}

static void put_scalar(pTHX_ struct cp_head *head, SV *box, U32 weak) {
    SV *sv = head->sv;
    if (is_simple(sv, head) && is_simple(box, head) && !weak) {
        swap_scalars(sv, box);
        return;
    }
    set_scalar(aTHX_ sv, box, cp_has_taint(aTHX_ box));
    if (weak)
        sv_rvweaken(sv);
}

static void swap_arrays(AV *a, AV *b) {
    XPVAV *x = (XPVAV *)SvANY(a), *y = (XPVAV *)SvANY(b);
    SV **array = AvARRAY(a), **alloc = AvALLOC(a);
    const SSize_t fill = AvFILLp(a), max = AvMAX(a);
    AvARRAY(a) = AvARRAY(b);
    AvALLOC(a) = AvALLOC(b);
    x->xav_fill = y->xav_fill;
    x->xav_max = y->xav_max;
    AvARRAY(b) = array;
    AvALLOC(b) = alloc;
    y->xav_fill = fill;
    y->xav_max = max;
    const U32 real = (SvFLAGS(a) ^ SvFLAGS(b)) & (SVpav_REAL | SVpav_REIFY);
    SvFLAGS(a) ^= real;
    SvFLAGS(b) ^= real;
}

static void fill_array(pTHX_ AV *array, struct cp_head *head) {
    if (!head->count)
        return;
    av_extend(array, (SSize_t)head->count - 1);
    for (U32 i = 0; i < head->count; i++)
        AvARRAY(array)[i] = SvREFCNT_inc((SV *)head->as.parts[i]);
    AvFILLp(array) = (SSize_t)head->count - 1;
}

#ifndef SVphv_LAZYDEL
#define SVphv_LAZYDEL 0x40000000
#endif
#define HASH_FLAGS (SVphv_HASKFLAGS | SVphv_LAZYDEL)

#define SWAP(type, a, b)                                                                               \
    do {                                                                                               \
        type swapped = (a);                                                                            \
        (a) = (b);                                                                                     \
        (b) = swapped;                                                                                 \
    } while (0)

/* The iterators go with the contents: they point into them. */
void cp_swap_hashes(pTHX_ HV *a, HV *b) {
    if (HvHasAUX(a) || HvHasAUX(b)) {
        if (!HvHasAUX(a))
            hv_iterinit(a);
        if (!HvHasAUX(b))
            hv_iterinit(b);
        struct xpvhv_aux *x = HvAUX(a), *y = HvAUX(b);
        SWAP(HE *, x->xhv_eiter, y->xhv_eiter);
        SWAP(I32, x->xhv_riter, y->xhv_riter);
#ifdef PERL_HASH_RANDOMIZE_KEYS
        SWAP(U32, x->xhv_rand, y->xhv_rand);
        SWAP(U32, x->xhv_last_rand, y->xhv_last_rand);
#endif
    }
    SWAP(HE **, HvARRAY(a), HvARRAY(b));
    XPVHV *x = (XPVHV *)SvANY(a), *y = (XPVHV *)SvANY(b);
    SWAP(STRLEN, x->xhv_keys, y->xhv_keys);
    SWAP(STRLEN, x->xhv_max, y->xhv_max);
    const U32 flags = (SvFLAGS(a) ^ SvFLAGS(b)) & HASH_FLAGS;
    SvFLAGS(a) ^= flags;
    SvFLAGS(b) ^= flags;
}

/* A table of the noted size, with the entries of each chain in the order in which they were noted, so
 * that the keys come in the same order in each session. */
static void order_hash(pTHX_ HV *hash, const struct cp_head *head) {
    HE **all, **buckets;
    STRLEN max = PTR2UV(head->content), found = 0;
    Newx(all, head->count, HE *);
    for (U32 i = 0; i < head->count; i++) {
        const HEK *key = (HEK *)head->as.parts[i * 2];
        HE **at = &HvARRAY(hash)[HEK_HASH(key) & HvMAX(hash)];
        while (*at && HeKEY_hek(*at) != key)
            at = &HeNEXT(*at);
        all[i] = *at;
        if (*at) {
            *at = HeNEXT(*at);
            found++;
        }
    }
    /* Where something is left in the table, it stays the table. */
    if (found < HvTOTALKEYS(hash))
        max = HvMAX(hash);
    if (HvMAX(hash) != max) {
        Newxz(buckets, max + 1, HE *);
        Safefree(HvARRAY(hash));
        HvARRAY(hash) = buckets;
        ((XPVHV *)SvANY(hash))->xhv_max = max;
    }
    for (U32 i = head->count; i-- > 0;)
        if (all[i]) {
            HE **first = &HvARRAY(hash)[HEK_HASH(HeKEY_hek(all[i])) & max];
            HeNEXT(all[i]) = *first;
            *first = all[i];
        }
    Safefree(all);
}

static void fill_hash(pTHX_ HV *hash, const struct cp_head *head) {
    if (PTR2UV(head->content) > HvMAX(hash))
        hv_ksplit(hash, (IV)PTR2UV(head->content) + 1);
    for (U32 i = 0; i < head->count; i++) {
        HEK *key = (HEK *)head->as.parts[i * 2];
        SV *value = (SV *)head->as.parts[i * 2 + 1];
        value = value ? SvREFCNT_inc_simple_NN(value) : newSV(0);
        /* With the key's own flags: one that was once written as UTF-8 is another. */
        if (!hv_common(hash, NULL, HEK_KEY(key), (STRLEN)HEK_LEN(key), HEK_FLAGS(key),
                       HV_FETCH_ISSTORE | HV_FETCH_JUST_SV, value, HEK_HASH(key)))
            SvREFCNT_dec(value);
    }
    if (head->count)
        order_hash(aTHX_ hash, head);
    struct xpvhv_aux *aux = HvAUX(hash);
#ifdef PERL_HASH_RANDOMIZE_KEYS
    if (!(head->marks & CP_EMPTY))
        aux->xhv_rand = aux->xhv_last_rand = head->flags;
#endif
    aux->xhv_riter = -1;
    aux->xhv_eiter = NULL;
    if (head->marks & CP_STANDS) {
        const HEK *key = (HEK *)head->as.parts[head->count * 2];
        HE *at = key ? HvARRAY(hash)[HEK_HASH(key) & HvMAX(hash)] : NULL;
        while (at && HeKEY_hek(at) != key)
            at = HeNEXT(at);
        aux->xhv_eiter = at;
        aux->xhv_riter = (I32)PTR2IV(head->as.parts[head->count * 2 + 1]);
    }
}

/* What a session has tied a container to, and that it has locked it, goes with its contents. */
static void move_tie(pTHX_ SV *from, SV *to) {
    MAGIC **at = &((XPVMG *)SvANY(from))->xmg_u.xmg_magic;
    int any = 0;
    while (*at) {
        MAGIC *mg = *at;
        if (mg->mg_type != PERL_MAGIC_tied && mg->mg_type != PERL_MAGIC_rhash) {
            at = &mg->mg_moremagic;
            continue;
        }
        *at = mg->mg_moremagic;
        mg->mg_moremagic = SvMAGIC(to);
        SvMAGIC_set(to, mg);
        any = 1;
    }
    if (any) {
        mg_magical(from);
        mg_magical(to);
    }
    const U32 fixed = (SvFLAGS(from) ^ SvFLAGS(to)) & (SVf_READONLY | SVf_PROTECT);
    SvFLAGS(from) ^= fixed;
    SvFLAGS(to) ^= fixed;
}

static HV *class_of(SV *sv) { return SvOBJECT(sv) ? SvSTASH(sv) : NULL; }

static void set_class(pTHX_ SV *sv, HV *class) {
    if (class_of(sv) == class)
        return;
    SvUPGRADE(sv, SVt_PVMG);
    if (SvOBJECT(sv)) {
        SvREFCNT_dec((SV *)SvSTASH(sv));
        SvOBJECT_off(sv);
        SvSTASH_set(sv, NULL);
    }
    if (class) {
        SvOBJECT_on(sv);
        SvSTASH_set(sv, (HV *)SvREFCNT_inc_simple_NN((SV *)class));
    }
}

int cp_take_head(pTHX_ U32 number, struct cp_taken *taken) {
    struct cp_head *head = &cp_heads[number];
    SV *box = NULL;
    U32 weak = 0;
    IV place = 0;
    HV *class = class_of(head->sv);
    switch (head->kind) {
    case CP_HEAD_SCALAR:
        place = position_of(head->sv);
        box = take_scalar(aTHX_ head, &weak);
        if (class != head->class) {
            set_class(aTHX_ head->sv, head->class);
            (void)cp_head_same(aTHX_ head);
        }
        break;
    case CP_HEAD_ARRAY: {
        IV *stands = cp_array_iterator((AV *)head->sv);
        box = (SV *)newAV();
        if (stands) {
            place = *stands;
            *stands = head->place;
        }
        swap_arrays((AV *)head->sv, (AV *)box);
        if (head->marks & CP_WATCHED)
            mg_magical(head->sv);
        move_tie(aTHX_ head->sv, box);
        fill_array(aTHX_ (AV *)head->sv, head);
        SvFLAGS(head->sv) |= head->flags & (SVf_READONLY | SVf_PROTECT);
        set_class(aTHX_ head->sv, head->class);
        break;
    }
    case CP_HEAD_HASH:
        box = (SV *)newHV();
        cp_swap_hashes(aTHX_ (HV *)head->sv, (HV *)box);
        move_tie(aTHX_ head->sv, box);
        fill_hash(aTHX_ (HV *)head->sv, head);
        set_class(aTHX_ head->sv, head->class);
        break;
    case CP_HEAD_GLOB: box = cp_take_glob(aTHX_ head); break;
    default: box = cp_take_stash(aTHX_ number);
    }
    if (cp_heads[number].marks & CP_WATCHED && cp_heads[number].count > TOO_LARGE)
        cp_tell_unfit(aTHX_ cp_heads[number].owner, CP_UNFIT_TOO_LARGE, "",
                      cp_name_of(aTHX_ cp_heads[number].sv), "");
    *taken = (struct cp_taken){number, weak, box, place, class};
    return box != NULL;
}

void cp_put_head(pTHX_ const struct cp_taken *taken) {
    struct cp_head *head = &cp_heads[taken->head];
    switch (head->kind) {
    case CP_HEAD_SCALAR:
        put_scalar(aTHX_ head, taken->box, taken->weak);
        if (position_of(head->sv) != taken->place)
            set_position(aTHX_ head->sv, taken->place);
        set_class(aTHX_ head->sv, taken->class);
        break;
    case CP_HEAD_ARRAY: {
        IV *place = cp_array_iterator((AV *)head->sv);
        swap_arrays((AV *)head->sv, (AV *)taken->box);
        move_tie(aTHX_ taken->box, head->sv);
        set_class(aTHX_ head->sv, taken->class);
        if (place)
            *place = taken->place;
        break;
    }
    case CP_HEAD_HASH:
        cp_swap_hashes(aTHX_ (HV *)head->sv, (HV *)taken->box);
        move_tie(aTHX_ taken->box, head->sv);
        set_class(aTHX_ head->sv, taken->class);
        break;
    case CP_HEAD_GLOB: cp_put_glob(aTHX_ head, taken->box); break;
    default: cp_put_stash(aTHX_ (HV *)head->sv, taken->box);
    }
    if (head->marks & CP_WATCHED)
        cp_mark_dirty(taken->head);
}
