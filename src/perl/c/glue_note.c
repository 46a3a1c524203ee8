/*
 * What each head held when it was noted, and whether it still does. Nothing here runs Perl code or dies.
 */
#include "glue_exchange.h"

/* Set by what only passes. */
#define COMPARED_FLAGS (~(U32)SVs_TEMP)

#define VALUE_FLAGS (SVf_IOK | SVf_NOK | SVf_POK | SVf_ROK | SVf_UTF8 | SVf_IVisUV)

/* Where the last match has ended, plus one; 0: nowhere. */
static IV position(SV *sv) {
    MAGIC *mg = SvTYPE(sv) >= SVt_PVMG && SvMAGIC(sv) ? mg_find(sv, PERL_MAGIC_regex_global) : NULL;
    return mg ? (IV)mg->mg_len + 1 : 0;
}

/* ---- scalars ---- */

static void note_seen(struct cp_head *head) {
    SV *sv = head->sv;
    head->flags = SvFLAGS(sv) & COMPARED_FLAGS;
    head->content = SvTYPE(sv) == SVt_NULL ? NULL : (void *)sv->sv_u.svu_rv;
    head->marks &= (U8)~CP_SLOW;
    /* A text that shares its bytes with the copy cannot change without another address. A number beside
     * it is derived from it. Where a number is all, it must lie where `content` is. */
    const int shares_text = SvPOK(sv) && head->as.value && SvIsCOW(sv) && SvPOK(head->as.value) &&
                            SvPVX_const(sv) == SvPVX_const(head->as.value);
    const int is_all = !SvOK(sv) || SvROK(sv) || (SvTYPE(sv) == SVt_IV) ||
                       (SvTYPE(sv) == SVt_NV && NVSIZE <= IVSIZE) || shares_text;
    if (!is_all || SvTYPE(sv) > SVt_PVMG)
        head->marks |= CP_SLOW;
    if (!SvOK(sv) && SvTYPE(sv) >= SVt_PV)
        head->content = NULL;
}

static void note_scalar(pTHX_ struct cp_head *head) {
    SV *sv = head->sv, *old = head->as.value;
    head->as.value = NULL;
    head->marks &= (U8)~(CP_WEAK | CP_TAINTED);
    if (head->marks & CP_EMPTY) {
        SvREFCNT_dec(old);
        head->flags = 0;
        head->content = NULL;
        return;
    }
    if (SvOK(sv) || isGV_with_GP(sv)) {
        if (SvPOK(sv) && SvTYPE(sv) <= SVt_PVMG && !SvIsCOW(sv) && !SvREADONLY(sv) && !SvMAGICAL(sv) &&
            !SvOOK(sv) && SvLEN(sv))
            /* Room for the count of those that share it. */
            (void)SvGROW(sv, SvCUR(sv) + 10);
        if (SvROK(sv) && SvWEAKREF(sv)) {
            head->marks |= CP_WEAK;
            head->as.value = newRV_inc(SvRV(sv));
        } else {
            head->as.value = newSV(0);
            sv_setsv_flags(head->as.value, sv, SV_DO_COW_SVSETSV | SV_NOSTEAL);
        }
        if (cp_has_taint(aTHX_ sv))
            head->marks |= CP_TAINTED;
    }
    SvREFCNT_dec(old);
    head->place = position(sv);
    head->class = SvOBJECT(sv) ? SvSTASH(sv) : NULL;
    note_seen(head);
}

static int has_noted_taint(pTHX_ const struct cp_head *head) {
    return !SvOK(head->sv) || cp_has_taint(aTHX_ head->sv) == !!(head->marks & CP_TAINTED);
}

/* Whether a value is the noted one, though it may lie there in another form. */
static int is_same_value(pTHX_ struct cp_head *head) {
    SV *now = head->sv, *then = head->as.value;
    /* A session has tied it, or put it into a class. */
    if (head->class != (SvOBJECT(now) ? SvSTASH(now) : NULL) ||
        (!(head->marks & CP_WATCHED) && !cp_is_ordinary_magic(now)))
        return 0;
    if (!has_noted_taint(aTHX_ head) || position(now) != head->place || ((SvFLAGS(now) ^ head->flags) & (SVs_PADSTALE | SVf_READONLY | SVf_PROTECT)))
        return 0;
    if (!then)
        return !SvOK(now) && !isGV_with_GP(now);
    if (isGV_with_GP(now) || isGV_with_GP(then))
        return isGV_with_GP(now) && isGV_with_GP(then) && GvGP((GV *)now) == GvGP((GV *)then);
    if (SvROK(now) || SvROK(then))
        return SvROK(now) && SvROK(then) && SvRV(now) == SvRV(then) &&
               !SvWEAKREF(now) == !(head->marks & CP_WEAK);
    if (!SvOK(now) || SvTYPE(now) > SVt_PVMG || SvTYPE(then) > SVt_PVMG)
        return 0;
    const U32 a = SvFLAGS(now), b = SvFLAGS(then);
    if ((a ^ b) & (SVf_POK | SVf_UTF8))
        return 0;
    if (SvPOK(now)) {
        if (SvCUR(now) != SvCUR(then) || memNE(SvPVX_const(now), SvPVX_const(then), SvCUR(now)))
            return 0;
        /* A number that perl has made of the text. */
        if (((a ^ b) & (SVf_IOK | SVf_NOK)) && !looks_like_number(now))
            return 0;
        if ((a & b & SVf_IOK) && SvIVX(now) != SvIVX(then))
            return 0;
        return !(a & b & SVf_NOK) || memEQ(&SvNVX(now), &SvNVX(then), sizeof(NV));
    }
    if (SvPOKp(now) != SvPOKp(then) && !(a & b & (SVf_IOK | SVf_NOK)))
        return 0;
    if ((a & SVf_IOK) && (b & SVf_IOK))
        return SvIVX(now) == SvIVX(then) && SvIsUV(now) == SvIsUV(then);
    if ((a & SVf_NOK) && (b & SVf_NOK))
        return memEQ(&SvNVX(now), &SvNVX(then), sizeof(NV));
    return 0;
}

static int is_same_scalar(pTHX_ struct cp_head *head) {
    SV *sv = head->sv;
    if (!(((SvFLAGS(sv)) ^ head->flags) & COMPARED_FLAGS) && !(head->marks & CP_SLOW) &&
        (!SvOK(sv) || (void *)sv->sv_u.svu_rv == head->content) && !(SvMAGICAL(sv) && (position(sv) != head->place || !has_noted_taint(aTHX_ head))))
        return 1;
    if (!is_same_value(aTHX_ head))
        return 0;
    /* Its form is what counts from now on; a text of its own shares the copy's bytes again. */
    if (!(head->marks & CP_SLOW) && SvPOK(sv) && SvTYPE(sv) <= SVt_PVMG && !SvREADONLY(sv) &&
        SvPVX_const(sv) != SvPVX_const(head->as.value) && !(SvFLAGS(sv) & (SVp_IOK | SVp_NOK)))
        sv_setsv_flags(sv, head->as.value, SV_DO_COW_SVSETSV | SV_NOSTEAL); /* its taint is as noted */
    note_seen(head);
    return 1;
}

/* ---- containers ---- */

static void forget_parts(pTHX_ struct cp_head *head, int step, int from) {
    for (U32 i = (U32)from; head->as.parts && i < head->count * (U32)step; i += (U32)step)
        SvREFCNT_dec((SV *)head->as.parts[i]);
    Safefree(head->as.parts);
    head->as.parts = NULL;
    head->count = 0;
}

static void note_array(pTHX_ struct cp_head *head) {
    AV *array = (AV *)head->sv;
    forget_parts(aTHX_ head, 1, 0);
    const SSize_t count = head->marks & CP_EMPTY ? 0 : AvFILLp(array) + 1;
    if (count > 0)
        Newx(head->as.parts, count, void *);
    for (SSize_t i = 0; i < count; i++)
        head->as.parts[i] = SvREFCNT_inc(AvARRAY(array)[i]);
    head->count = (U32)count;
    head->flags = SvFLAGS(array) & (SVf_READONLY | SVf_PROTECT);
    head->class = SvOBJECT(array) ? SvSTASH(array) : NULL;
    const IV *place = cp_array_iterator(array);
    head->place = place ? *place : 0;
}

/* The keys that a plugin object has for the time of a hook are there outside of it, without a value of
 * their own: what is noted of them is the key. */
static int is_part(const struct cp_head *head, U32 at, HE *entry) {
    const SV *value = (SV *)head->as.parts[at * 2 + 1];
    return head->as.parts[at * 2] == (void *)HeKEY_hek(entry) &&
           (value ? value == HeVAL(entry) : !SvOK(HeVAL(entry)));
}

#define EACH_ENTRY(hash, entry)                                                                        \
    for (STRLEN bucket = 0; HvARRAY(hash) && bucket <= HvMAX(hash); bucket++)                          \
        for (HE *entry = HvARRAY(hash)[bucket]; entry; entry = HeNEXT(entry))                          \
            if (HeVAL(entry) != &PL_sv_placeholder)

static void note_hash(pTHX_ struct cp_head *head) {
    HV *hash = (HV *)head->sv;
    forget_parts(aTHX_ head, 2, 1);
    if (head->marks & CP_EMPTY)
        return;
    head->class = SvOBJECT(hash) ? SvSTASH(hash) : NULL;
    /* The order of its keys is the same in each session. */
    if (!HvHasAUX(hash))
        hv_iterinit(hash);
#ifdef PERL_HASH_RANDOMIZE_KEYS
    head->flags = HvAUX(hash)->xhv_rand;
#endif
    head->content = INT2PTR(void *, (UV)HvMAX(hash));
    STRLEN room = HvTOTALKEYS(hash) + 1;
    Newx(head->as.parts, room * 2, void *);
    EACH_ENTRY(hash, entry) {
        SV *value = cp_is_local_key(HeKEY_hek(entry)) ? NULL : HeVAL(entry);
        head->as.parts[head->count * 2] = (void *)share_hek_hek(HeKEY_hek(entry));
        head->as.parts[head->count * 2 + 1] = SvREFCNT_inc(value);
        head->count++;
    }
    head->marks &= (U8)~CP_STANDS;
    if (cp_hash_iterates(hash)) {
        HE *at = HvAUX(hash)->xhv_eiter;
        head->marks |= CP_STANDS;
        head->as.parts[head->count * 2] = at ? (void *)share_hek_hek(HeKEY_hek(at)) : NULL;
        head->as.parts[head->count * 2 + 1] = INT2PTR(void *, (IV)HvAUX(hash)->xhv_riter);
    }
}


int cp_hash_iterates(HV *hash) {
    return HvHasAUX(hash) && (HvAUX(hash)->xhv_riter != -1 || HvAUX(hash)->xhv_eiter);
}

IV *cp_array_iterator(AV *array) {
    MAGIC *mg = SvMAGIC(array) ? mg_find((SV *)array, PERL_MAGIC_arylen_p) : NULL;
    if (!mg)
        return NULL;
    /* Where a length has room for it, it stands there. */
    return mg->mg_ptr ? (IV *)mg->mg_ptr : sizeof mg->mg_len == sizeof(IV) ? (IV *)&mg->mg_len : NULL;
}

/* A session has tied it. */
static int is_tied(SV *sv) { return SvRMAGICAL(sv) && mg_find(sv, PERL_MAGIC_tied); }

static int is_same_hash(struct cp_head *head) {
    HV *hash = (HV *)head->sv;
    U32 at = 0;
    if (head->class != (SvOBJECT(hash) ? SvSTASH(hash) : NULL) || is_tied((SV *)hash) || SvREADONLY(hash))
        return 0;
    if (head->marks & CP_STANDS) {
        const HE *at = HvAUX(hash)->xhv_eiter;
        if ((at ? (void *)HeKEY_hek(at) : NULL) != head->as.parts[head->count * 2] ||
            HvAUX(hash)->xhv_riter != (I32)PTR2IV(head->as.parts[head->count * 2 + 1]))
            return 0;
    } else if (cp_hash_iterates(hash)) {
        return 0;
    }
#ifdef PERL_HASH_RANDOMIZE_KEYS
    if (HvAUX(hash)->xhv_rand != head->flags)
        return 0;
#endif
    if (HvMAX(hash) != PTR2UV(head->content))
        return 0;
    EACH_ENTRY(hash, entry) {
        if (at == head->count || !is_part(head, at, entry))
            return 0;
        at++;
    }
    return at == head->count;
}

static int is_same_array(struct cp_head *head) {
    AV *array = (AV *)head->sv;
    const IV *place = cp_array_iterator(array);
    if ((place ? *place : 0) != head->place || is_tied((SV *)array) ||
        ((SvFLAGS(array) ^ head->flags) & (SVf_READONLY | SVf_PROTECT)) ||
        head->class != (SvOBJECT(array) ? SvSTASH(array) : NULL))
        return 0;
    return AvFILLp(array) + 1 == (SSize_t)head->count &&
           (!head->count || memEQ(AvARRAY(array), head->as.parts, head->count * sizeof(void *)));
}

/* ---- globs and packages ---- */

static void note_glob(pTHX_ struct cp_head *head) {
    GV *gv = (GV *)head->sv;
    forget_parts(aTHX_ head, 1, 0);
    Newx(head->as.parts, CP_GLOB_PARTS, void *);
    head->count = CP_GLOB_PARTS;
    if (head->content != (void *)GvGP(gv))
        head->content = gp_ref(GvGP(gv));
    SV *now[CP_GLOB_PARTS];
    cp_glob_parts(gv, now);
    for (int i = 0; i < CP_GLOB_PARTS; i++)
        head->as.parts[i] = SvREFCNT_inc(now[i]);
    head->marks &= (U8)~CP_STANDS;
    if (now[3] && IoIFP((IO *)now[3]))
        head->marks |= CP_STANDS;
    /* A handle that came with the session is not what others begin with. */
    if (head->marks & CP_EMPTY) {
        SvREFCNT_dec((SV *)head->as.parts[3]);
        head->as.parts[3] = NULL;
    }
}

static int is_same_glob(pTHX_ struct cp_head *head) {
    GV *gv = (GV *)head->sv;
    if (!isGV_with_GP((SV *)gv) || (void *)GvGP(gv) != head->content)
        return 0;
    SV *now[CP_GLOB_PARTS];
    cp_glob_parts(gv, now);
    for (int i = 0; i < CP_GLOB_PARTS; i++)
        if (i == 3 && now[i] && now[i] == (SV *)head->as.parts[i]) {
            /* Opened by a session, where it was closed. */
            if (!(head->marks & CP_STANDS) && IoIFP((IO *)now[i]))
                return 0;
        } else if (now[i] != (SV *)head->as.parts[i]) {
            /* A variable of the same name that is used for the first time. */
            if (i == 3 || head->as.parts[i] || cp_head_of(aTHX_ now[i]) || !cp_is_ordinary_magic(now[i]) ||
                SvREFCNT(now[i]) > 1 || (i == 0 && SvTYPE(now[i]) > SVt_PVMG) ||
                (i == 2 && HvENAME_HEK((HV *)now[i])))
                return 0;
            const int kinds[] = {CP_HEAD_SCALAR, CP_HEAD_ARRAY, CP_HEAD_HASH};
            const U32 number = (U32)(head - cp_heads);
            const U32 added = cp_head_add(aTHX_ now[i], kinds[i], head->owner);
            head = &cp_heads[number];
            cp_heads[added].marks |= CP_EMPTY;
            cp_note_head(aTHX_ &cp_heads[added]);
            head->as.parts[i] = SvREFCNT_inc_simple_NN(now[i]);
        }
    return 1;
}

static U32 generation(pTHX_ HV *stash) {
    const struct mro_meta *meta = HvHasAUX(stash) ? HvAUX(stash)->xhv_mro_meta : NULL;
    /* The latter where a glob is known elsewhere, too. */
    return meta ? meta->pkg_gen + PL_sub_generation : PL_sub_generation;
}

/* Subs that have lost their body in this turn, of which perl tells nobody else. */
static AV *lost;

void cp_body_goes(pTHX_ CV *cv) {
    const int has_body = CvISXSUB(cv) || CvROOT(cv);
    if (!has_body || SvOBJECT(cv))
        return;
    if (!lost)
        lost = newAV();
    av_push(lost, SvREFCNT_inc_simple_NN((SV *)cv));
    /* Packages that have it are looked at. */
    PL_sub_generation++;
}

int cp_has_lost_body(const CV *cv) {
    for (SSize_t i = 0; lost && i <= AvFILLp(lost); i++)
        if (AvARRAY(lost)[i] == (const SV *)cv)
            return 1;
    return 0;
}

void cp_forget_lost(pTHX) {
    SvREFCNT_dec((SV *)lost);
    lost = NULL;
}

static void note_stash(pTHX_ struct cp_head *head) {
    HV *stash = (HV *)head->sv;
    for (U32 i = 0; i < head->count * 2; i++)
        SvREFCNT_dec((SV *)head->as.parts[i]);
    Safefree(head->as.parts);
    head->as.parts = NULL;
    head->count = 0;
    head->flags = generation(aTHX_ stash);
    head->content = NULL;
    if (head->marks & CP_EMPTY)
        return;
    const STRLEN room = HvTOTALKEYS(stash);
    if (room)
        Newx(head->as.parts, room * 2, void *);
    EACH_ENTRY(stash, entry) {
        SV *gv = HeVAL(entry);
        if (!isGV_with_GP(gv))
            continue;
        CV *cv = GvCVGEN((GV *)gv) ? NULL : GvCV((GV *)gv);
        head->as.parts[head->count * 2] = SvREFCNT_inc_simple_NN(gv);
        head->as.parts[head->count * 2 + 1] = SvREFCNT_inc((SV *)cv);
        head->count++;
    }
    head->content = INT2PTR(void *, (UV)HvTOTALKEYS(stash));
}

/* Only that something may have changed. */
static int is_same_stash(pTHX_ struct cp_head *head) {
    HV *stash = (HV *)head->sv;
    return HvTOTALKEYS(stash) == PTR2UV(head->content) && generation(aTHX_ stash) == head->flags;
}

/* ---- all kinds ---- */

void cp_note_head(pTHX_ struct cp_head *head) {
    switch (head->kind) {
    case CP_HEAD_SCALAR: note_scalar(aTHX_ head); break;
    case CP_HEAD_ARRAY: note_array(aTHX_ head); break;
    case CP_HEAD_HASH: note_hash(aTHX_ head); break;
    case CP_HEAD_GLOB: note_glob(aTHX_ head); break;
    default: note_stash(aTHX_ head);
    }
}

void cp_note_from(pTHX_ U32 first) {
    for (U32 i = first; i < cp_head_count; i++) {
        cp_note_head(aTHX_ &cp_heads[i]);
        if (cp_heads[i].marks & CP_WATCHED)
            cp_watch_head(aTHX_ &cp_heads[i], i);
    }
}

int cp_head_same(pTHX_ struct cp_head *head) {
    switch (head->kind) {
    case CP_HEAD_SCALAR: return is_same_scalar(aTHX_ head);
    case CP_HEAD_ARRAY: return is_same_array(head);
    case CP_HEAD_HASH: return is_same_hash(head);
    case CP_HEAD_GLOB: return is_same_glob(aTHX_ head);
    default: return is_same_stash(aTHX_ head);
    }
}
