/*
 * The names of a package as a session has them: globs with their variables and handles, subs, globs that are
 * new or gone.
 */
#include "glue_exchange.h"

/* A session may have deleted the package. */
static void methods_changed(pTHX_ HV *stash) {
    if (stash && SvTYPE(stash) == SVt_PVHV && HvENAME_HEK(stash))
        mro_method_changed_in(stash);
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
SV *cp_take_glob(pTHX_ struct cp_head *head) {
    GV *gv = (GV *)head->sv;
    if (!isGV_with_GP((SV *)gv))
        return NULL;
    if ((void *)GvGP(gv) != head->content) {
        SV *box = newSV(0);
        sv_setsv_flags(box, (SV *)gv, 0);
        gp_free(gv);
        GvGP_set(gv, gp_ref((GP *)head->content));
        methods_changed(aTHX_ GvSTASH(gv));
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

void cp_put_glob(pTHX_ struct cp_head *head, SV *box) {
    GV *gv = (GV *)head->sv;
    if (SvTYPE(box) != SVt_PVAV) {
        if (isGV_with_GP(box)) {
            gp_free(gv);
            GvGP_set(gv, gp_ref(GvGP((GV *)box)));
            methods_changed(aTHX_ GvSTASH(gv));
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
    methods_changed(aTHX_ GvSTASH(gv));
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
    methods_changed(aTHX_ stash);
}

static void take_glob_out(pTHX_ HV *stash, GV *gv) {
    HEK *name = GvNAME_HEK(gv);
    const I32 length = HEK_UTF8(name) ? -HEK_LEN(name) : HEK_LEN(name);
    (void)hv_delete(stash, HEK_KEY(name), length, G_DISCARD);
    if (own_code(gv))
        methods_changed(aTHX_ stash);
}

/* What a session has made of a package's names: code, its glob, and how the glob itself has changed: 1 it
 * is new, -1 it is gone, 0 only its code is another. In this order, so that the glob goes last: code that
 * outlives its glob is given another by perl. */
SV *cp_take_stash(pTHX_ U32 number) {
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
        if (then && cp_has_lost_body(then))
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

void cp_put_stash(pTHX_ HV *stash, SV *box) {
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

