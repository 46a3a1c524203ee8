/*
 * Takes what a session has made of the heads' contents, so that they hold again what was noted, and
 * gives it back for the session's next turn, or lets it go at the session's end. Between turns and
 * sessions no Perl frame is active: no `local` is in force, nothing is iterated over by a loop.
 */
#include "glue_exchange.h"

/* A container with more elements than this that changes is worth a word. */
#define TOO_LARGE 10000

/* How often what DESTROY changes at a session's end is set back. */
#define ROUNDS 4

struct taken {
    U32 head;
    SV *box; /* holds the session's contents */
    IV place;
    HV *class;
};

struct cp_aside {
    size_t count, room;
    struct taken *list;
};

static void keep_box(cp_aside *aside, U32 head, SV *box, IV place, HV *class) {
    if (aside->count == aside->room) {
        aside->room = aside->room ? aside->room * 2 : 4;
        Renew(aside->list, aside->room, struct taken);
    }
    aside->list[aside->count++] = (struct taken){head, box, place, class};
}

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

static void set_scalar(pTHX_ SV *sv, SV *value) {
    SvFLAGS(sv) &= ~(U32)(SVf_READONLY | SVf_PROTECT);
    set_position(aTHX_ sv, 0);
    sv_setsv_flags(sv, value ? value : &PL_sv_undef, SV_DO_COW_SVSETSV | SV_NOSTEAL);
}

/* A scalar is what was noted. What it held before is elsewhere, too. */
static void reset_scalar(pTHX_ struct cp_head *head) {
    SV *sv = head->sv;
    set_scalar(aTHX_ sv, head->as.value);
    SvFLAGS(sv) = (SvFLAGS(sv) & ~(U32)SVs_PADSTALE) | (head->flags & SVs_PADSTALE);
    if (head->flags & (SVf_READONLY | SVf_PROTECT) && !(head->marks & CP_EMPTY))
        SvFLAGS(sv) |= head->flags & (SVf_READONLY | SVf_PROTECT);
    if (head->marks & CP_WEAK && SvROK(sv))
        sv_rvweaken(sv);
    if (head->place)
        set_position(aTHX_ sv, head->place);
    (void)cp_head_same(aTHX_ head);
}

static SV *take_scalar(pTHX_ struct cp_head *head) {
    SV *sv = head->sv, *box = newSV(0);
    if (is_simple(sv, head)) {
        swap_scalars(sv, box);
    } else {
        /* Weak references are strong in the box: nothing goes while nobody looks. */
        sv_setsv_flags(box, sv, SV_NOSTEAL);
        if (SvROK(sv) && SvWEAKREF(sv))
            SvFLAGS(box) |= SVs_PADSTALE;
    }
    /* A handle on the scalar in memory takes for granted that it is a text. */
    if (SvTYPE(box) >= SVt_PV && SvTYPE(sv) < SVt_PV)
        sv_upgrade(sv, SVt_PV);
    reset_scalar(aTHX_ head);
    return box;
}

static void put_scalar(pTHX_ struct cp_head *head, SV *box) {
    SV *sv = head->sv;
    if (is_simple(sv, head) && is_simple(box, head) && !(SvROK(box) && SvPADSTALE(box))) {
        swap_scalars(sv, box);
        return;
    }
    const int weak = SvROK(box) && SvPADSTALE(box);
    SvPADSTALE_off(box);
    set_scalar(aTHX_ sv, box);
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

/* perl has drawn up its classes by an @ISA. */
static void tell_classes(pTHX_ SV *array) {
    if (SvMAGICAL(array) && mg_find(array, PERL_MAGIC_isa))
        mg_set(array);
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
    const STRLEN max = PTR2UV(head->content);
    Newx(all, head->count, HE *);
    for (U32 i = 0; i < head->count; i++) {
        const HEK *key = (HEK *)head->as.parts[i * 2];
        HE **at = &HvARRAY(hash)[HEK_HASH(key) & HvMAX(hash)];
        while (*at && HeKEY_hek(*at) != key)
            at = &HeNEXT(*at);
        all[i] = *at;
        if (*at)
            *at = HeNEXT(*at);
    }
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
        const I32 length = HEK_UTF8(key) ? -HEK_LEN(key) : HEK_LEN(key);
        if (!hv_store(hash, HEK_KEY(key), length, value, HEK_HASH(key)))
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

/* What a session has tied a container to goes with its contents. */
static void move_tie(pTHX_ SV *from, SV *to) {
    MAGIC **at = &((XPVMG *)SvANY(from))->xmg_u.xmg_magic;
    while (*at && (*at)->mg_type != PERL_MAGIC_tied)
        at = &(*at)->mg_moremagic;
    MAGIC *tie = *at;
    if (!tie)
        return;
    *at = tie->mg_moremagic;
    tie->mg_moremagic = SvMAGIC(to);
    SvMAGIC_set(to, tie);
    mg_magical(from);
    mg_magical(to);
}

static HV *class_of(SV *sv) { return SvOBJECT(sv) ? SvSTASH(sv) : NULL; }

static void set_class(pTHX_ SV *sv, HV *class) {
    if (class_of(sv) == class)
        return;
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

static void set_parts(pTHX_ GV *gv, SV *parts[CP_GLOB_PARTS]) {
    SV *now[CP_GLOB_PARTS];
    cp_glob_parts(gv, now);
    GvSV(gv) = SvREFCNT_inc(parts[0]);
    GvAV(gv) = (AV *)SvREFCNT_inc(parts[1]);
    GvHV(gv) = (HV *)SvREFCNT_inc(parts[2]);
    GvIOp(gv) = (IO *)SvREFCNT_inc(parts[3]);
    for (int i = 0; i < CP_GLOB_PARTS; i++)
        SvREFCNT_dec(now[i]);
}

/* A glob's variables by references, or a scalar that is the glob as the session has it. */
static SV *take_glob(pTHX_ struct cp_head *head) {
    GV *gv = (GV *)head->sv;
    if (!isGV_with_GP((SV *)gv))
        return NULL;
    if ((void *)GvGP(gv) != head->content) {
        SV *box = newSV(0);
        sv_setsv_flags(box, (SV *)gv, 0);
        gp_free(gv);
        GvGP_set(gv, gp_ref((GP *)head->content));
        mro_method_changed_in(GvSTASH(gv));
        return box;
    }
    AV *box = newAV();
    SV *now[CP_GLOB_PARTS];
    cp_glob_parts(gv, now);
    for (int i = 0; i < CP_GLOB_PARTS; i++)
        av_push(box, now[i] ? newRV_inc(now[i]) : newSV(0));
    /* What the session has opened is its own: a handle that nobody has opened stands there for others. */
    if (now[3] && now[3] == (SV *)head->as.parts[3]) {
        SvREFCNT_dec(now[3]);
        head->as.parts[3] = newIO();
    }
    set_parts(aTHX_ gv, (SV **)head->as.parts);
    return (SV *)box;
}

static void put_glob(pTHX_ struct cp_head *head, SV *box) {
    GV *gv = (GV *)head->sv;
    if (SvTYPE(box) != SVt_PVAV) {
        if (isGV_with_GP(box)) {
            gp_free(gv);
            GvGP_set(gv, gp_ref(GvGP((GV *)box)));
            mro_method_changed_in(GvSTASH(gv));
        }
        return;
    }
    SV *then[CP_GLOB_PARTS];
    for (int i = 0; i < CP_GLOB_PARTS; i++) {
        SV *value = AvARRAY((AV *)box)[i];
        then[i] = SvROK(value) ? SvRV(value) : NULL;
    }
    set_parts(aTHX_ gv, then);
}

static void set_code(pTHX_ GV *gv, CV *cv) {
    CV *old = GvCV(gv);
    GvCV_set(gv, (CV *)SvREFCNT_inc((SV *)cv));
    GvCVGEN(gv) = 0;
    SvREFCNT_dec((SV *)old);
    mro_method_changed_in(GvSTASH(gv));
}

static CV *own_code(GV *gv) { return GvCVGEN(gv) ? NULL : GvCV(gv); }

static SV *ref_or_undef(pTHX_ SV *sv) { return sv ? newRV_inc(sv) : newSV(0); }

/* A glob that is no more than perl's note of a method that was found in another class. */
static int is_only_cache(GV *gv) {
    return GvCVGEN(gv) && !GvSV(gv) && !GvAV(gv) && !GvHV(gv) && !GvIOp(gv) && !GvFORM(gv);
}

/* A variable in `main` that has nothing to do with perl itself, a handle, a package or a sub. */
static int is_plain_global(GV *gv) {
    /* "_<FILE" is perl's note of a file that it has compiled. */
    if (!isIDFIRST_A(*GvNAME(gv)) || GvNAME(gv)[1] == '<' || GvCV(gv) || GvIOp(gv) || GvFORM(gv) ||
        (GvHV(gv) && HvENAME_HEK(GvHV(gv))))
        return 0;
    SV *variables[] = {GvSV(gv), (SV *)GvAV(gv), (SV *)GvHV(gv)};
    int any = 0;
    for (int i = 0; i < 3; i++) {
        if (variables[i] && !cp_is_ordinary_magic(variables[i]))
            return 0;
        any |= variables[i] != NULL;
    }
    return any;
}

static void put_glob_into(pTHX_ HV *stash, GV *gv) {
    HEK *name = GvNAME_HEK(gv);
    const I32 length = HEK_UTF8(name) ? -HEK_LEN(name) : HEK_LEN(name);
    SvREFCNT_inc_simple_void_NN((SV *)gv);
    if (!hv_store(stash, HEK_KEY(name), length, (SV *)gv, HEK_HASH(name)))
        SvREFCNT_dec_NN((SV *)gv);
    mro_method_changed_in(stash);
}

static void take_glob_out(pTHX_ HV *stash, GV *gv) {
    HEK *name = GvNAME_HEK(gv);
    const I32 length = HEK_UTF8(name) ? -HEK_LEN(name) : HEK_LEN(name);
    (void)hv_delete(stash, HEK_KEY(name), length, G_DISCARD);
    if (own_code(gv))
        mro_method_changed_in(stash);
}

/* What a session has made of a package's names: code, its glob, and how the glob itself has changed: 1 it
 * is new, -1 it is gone, 0 only its code is another. In this order, so that the glob goes last: code that
 * outlives its glob is given another by perl. */
static SV *take_stash(pTHX_ U32 number) {
    struct cp_head *head = &cp_heads[number];
    HV *stash = (HV *)head->sv;
    const U16 owner = head->owner;
    AV *box = newAV();
    AV *mine = newAV();
    PTR_TBL_t *here = ptr_table_new();
    for (STRLEN i = 0; HvARRAY(stash) && i <= HvMAX(stash); i++)
        for (HE *entry = HvARRAY(stash)[i]; entry; entry = HeNEXT(entry)) {
            GV *gv = HeVAL(entry) != &PL_sv_placeholder ? cp_glob_at(aTHX_ stash, entry) : NULL;
            if (gv)
                ptr_table_store(here, gv, gv);
        }
    PTR_TBL_t *noted = ptr_table_new();
    for (U32 i = 0; i < head->count; i++) {
        GV *gv = (GV *)head->as.parts[i * 2];
        if (stash == PL_defstash) {
            ptr_table_store(noted, gv, gv);
            continue;
        }
        CV *then = (CV *)head->as.parts[i * 2 + 1];
        ptr_table_store(noted, gv, gv);
        if (!isGV_with_GP((SV *)gv))
            continue;
        const int gone = !ptr_table_fetch(here, gv);
        /* What it was made of is freed: it is gone for all sessions of this worker. */
        if (then && cp_was_undefined(aTHX_ then))
            cp_tell_unfit(aTHX_ owner, CP_UNFIT_CODE, "", GvNAME(gv), HvNAME(stash));
        if (!gone && own_code(gv) == then)
            continue;
        av_push(box, ref_or_undef(aTHX_ (SV *)own_code(gv)));
        av_push(box, newRV_inc((SV *)gv));
        av_push(box, newSViv(gone ? -1 : 0));
        if (own_code(gv) != then)
            set_code(aTHX_ gv, then);
        if (gone)
            put_glob_into(aTHX_ stash, gv);
    }
    for (STRLEN i = 0; HvARRAY(stash) && i <= HvMAX(stash); i++)
        for (HE *entry = HvARRAY(stash)[i]; entry; entry = HeNEXT(entry)) {
            GV *gv = (GV *)HeVAL(entry);
            if (HeVAL(entry) == &PL_sv_placeholder || !isGV_with_GP(HeVAL(entry)) || is_only_cache(gv) ||
                ptr_table_fetch(noted, gv))
                continue;
            if (stash == PL_defstash) {
                if (is_plain_global(gv))
                    av_push(mine, SvREFCNT_inc_simple_NN((SV *)gv));
                continue;
            }
            /* A package stays, as what is blessed into it holds on to it: its names go. */
            if (GvHV(gv) && HvENAME_HEK(GvHV(gv)))
                cp_find_new_package(aTHX_ gv, owner);
            else if (HeKEY_hek(entry) == GvNAME_HEK(gv))
                av_push(mine, SvREFCNT_inc_simple_NN((SV *)gv));
        }
    for (SSize_t i = 0; i <= AvFILLp(mine); i++) {
        GV *gv = (GV *)AvARRAY(mine)[i];
        av_push(box, ref_or_undef(aTHX_ (SV *)own_code(gv)));
        av_push(box, newRV_inc((SV *)gv));
        av_push(box, newSViv(1));
        take_glob_out(aTHX_ stash, gv);
    }
    SvREFCNT_dec_NN((SV *)mine);
    ptr_table_free(here);
    ptr_table_free(noted);
    cp_note_head(aTHX_ & cp_heads[number]);
    if (AvFILLp(box) >= 0)
        return (SV *)box;
    SvREFCNT_dec_NN((SV *)box);
    return NULL;
}

static void put_stash(pTHX_ HV *stash, SV *box) {
    SV **list = AvARRAY((AV *)box);
    for (SSize_t i = 0; i + 2 <= AvFILLp((AV *)box); i += 3) {
        CV *cv = SvROK(list[i]) ? (CV *)SvRV(list[i]) : NULL;
        GV *gv = (GV *)SvRV(list[i + 1]);
        const IV how = SvIVX(list[i + 2]);
        if (how < 0)
            take_glob_out(aTHX_ stash, gv);
        if (own_code(gv) != cv)
            set_code(aTHX_ gv, cv);
        if (how > 0)
            put_glob_into(aTHX_ stash, gv);
    }
}

/* ---- taking and putting ---- */

static void take_head(pTHX_ U32 number, cp_aside *aside) {
    struct cp_head *head = &cp_heads[number];
    SV *box = NULL;
    IV place = 0;
    HV *class = class_of(head->sv);
    switch (head->kind) {
    case CP_HEAD_SCALAR: box = take_scalar(aTHX_ head); break;
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
        set_class(aTHX_ head->sv, head->class);
        tell_classes(aTHX_ head->sv);
        break;
    }
    case CP_HEAD_HASH:
        box = (SV *)newHV();
        cp_swap_hashes(aTHX_ (HV *)head->sv, (HV *)box);
        move_tie(aTHX_ head->sv, box);
        fill_hash(aTHX_ (HV *)head->sv, head);
        set_class(aTHX_ head->sv, head->class);
        break;
    case CP_HEAD_GLOB: box = take_glob(aTHX_ head); break;
    default: box = take_stash(aTHX_ number);
    }
    if (cp_heads[number].marks & CP_WATCHED && cp_heads[number].count > TOO_LARGE)
        cp_tell_unfit(aTHX_ cp_heads[number].owner, CP_UNFIT_TOO_LARGE, "",
                      cp_name_of(aTHX_ cp_heads[number].sv), "");
    if (box)
        keep_box(aside, number, box, place, class);
}

static void take_all(pTHX_ cp_aside *aside) {
    /* A hash with magic has its keys as temporary values. */
    ENTER;
    SAVETMPS;
    /* The list grows where packages have got new variables. */
    for (U32 i = 0; i < cp_head_count; i++)
        if (!(cp_heads[i].marks & CP_WATCHED) && !cp_head_same(aTHX_ &cp_heads[i]))
            take_head(aTHX_ i, aside);
    const U32 *dirty;
    U32 count = cp_dirty(&dirty);
    for (U32 i = 0; i < count; i++)
        if (!cp_head_same(aTHX_ &cp_heads[dirty[i]])) {
            take_head(aTHX_ dirty[i], aside);
            (void)cp_dirty(&dirty);
        }
    cp_dirty_clear();
    FREETMPS;
    LEAVE;
}

cp_aside *cp_exchange_take(void) {
    dTHXa(cp_perl);
    cp_aside aside = {0};
    take_all(aTHX_ &aside);
    if (!aside.count)
        return NULL;
    cp_aside *kept;
    Newx(kept, 1, cp_aside);
    *kept = aside;
    Renew(kept->list, kept->count, struct taken);
    kept->room = kept->count;
    return kept;
}

static void put_head(pTHX_ const struct taken *taken) {
    struct cp_head *head = &cp_heads[taken->head];
    switch (head->kind) {
    case CP_HEAD_SCALAR: put_scalar(aTHX_ head, taken->box); break;
    case CP_HEAD_ARRAY: {
        IV *place = cp_array_iterator((AV *)head->sv);
        swap_arrays((AV *)head->sv, (AV *)taken->box);
        move_tie(aTHX_ taken->box, head->sv);
        set_class(aTHX_ head->sv, taken->class);
        if (place)
            *place = taken->place;
        tell_classes(aTHX_ head->sv);
        break;
    }
    case CP_HEAD_HASH:
        cp_swap_hashes(aTHX_ (HV *)head->sv, (HV *)taken->box);
        move_tie(aTHX_ taken->box, head->sv);
        set_class(aTHX_ head->sv, taken->class);
        break;
    case CP_HEAD_GLOB: put_glob(aTHX_ head, taken->box); break;
    default: put_stash(aTHX_ (HV *)head->sv, taken->box);
    }
    if (head->marks & CP_WATCHED)
        cp_mark_dirty(taken->head);
}

static cp_aside *putting;

static int put_all(pTHX) {
    cp_aside *aside = putting;
    for (size_t i = 0; i < aside->count; i++)
        put_head(aTHX_ & aside->list[i]);
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
    const U32 *dirty;
    (void)cp_dirty(&dirty);
    for (U32 i = 0; i < cp_head_count; i++) {
        struct cp_head *head = &cp_heads[i];
        if (head->kind > CP_HEAD_HASH ||
            (head->marks & CP_WATCHED ? !(head->marks & CP_DIRTY) : cp_head_same(aTHX_ head)))
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
    ENTER;
    SAVETMPS;
    destroy_objects(aTHX);
    FREETMPS;
    LEAVE;
    for (int round = 0; round < ROUNDS; round++) {
        cp_aside aside = {0};
        take_all(aTHX_ &aside);
        if (!aside.count)
            break;
        /* What DESTROY does to the variables counts for nobody. */
        for (size_t i = 0; i < aside.count; i++)
            SvREFCNT_dec_NN(aside.list[i].box);
        Safefree(aside.list);
    }
    return CP_OK;
}

int cp_exchange_end(void) { return cp_guard(end_all); }

int cp_exchange_differs(void) {
    dTHXa(cp_perl);
    const U32 *dirty;
    for (U32 i = 0; i < cp_head_count; i++)
        if (!(cp_heads[i].marks & CP_WATCHED) && !cp_head_same(aTHX_ &cp_heads[i]))
            return 1;
    return cp_dirty(&dirty) != 0;
}

void cp_exchange_note(void) {
    dTHXa(cp_perl);
    cp_note_from(aTHX_ 0);
    cp_dirty_clear();
}

void cp_exchange_note_from(size_t first) {
    dTHXa(cp_perl);
    cp_note_from(aTHX_ (U32)first);
}

size_t cp_exchange_size(void) { return cp_head_count; }
