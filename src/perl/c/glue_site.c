/*
 * What is the site's: the files and packages of its plugins and modules. Finds their variables in the symbol
 * tables, wherever they are, and leaves out those of modules that are not the site's.
 */
#include "glue_exchange.h"

static HV *site_files, *site_packages;

/* While the files of a module that came in a session are looked for: what others hold by then is the
 * session's. */
static HV *only_files;

/* Variables of packages that are not the site's and to which something else refers, too. */
static PTR_TBL_t *of_others;

static AV *site_dirs;
int cp_is_site_class(pTHX_ HV *stash) {
    return site_packages && HvNAME_HEK(stash) &&
           hv_exists(site_packages, HvNAME(stash), (I32)HvNAMELEN(stash));
}

int cp_is_site_code(pTHX_ CV *cv) {
    if (CvISXSUB(cv))
        return 0;
    const char *file = CvFILE(cv);
    HV *stash = CvSTASH(cv);
    return (file && site_files && hv_exists(site_files, file, (I32)strlen(file))) ||
           (stash && cp_is_site_class(aTHX_ stash));
}

static void of_others_walked(pTHX);

/* Imported from a package that is not the site's. (`use vars` imports a package's own variables.) */
static int is_imported(pTHX_ SV *sv, U32 imported) {
    return imported && SvREFCNT(sv) > 1 && (of_others_walked(aTHX), ptr_table_fetch(of_others, sv));
}

/* The host's own names stay what they are. */
static int without_globs;

static void see_glob(pTHX_ GV *gv, U16 owner) {
    const char *name = GvNAME(gv);
    int has_variables = 0;
    cp_package = GvSTASH(gv) && HvNAME_HEK(GvSTASH(gv)) ? HvNAME(GvSTASH(gv)) : "";
    if (GvSV(gv) && !is_imported(aTHX_ GvSV(gv), GvIMPORTED_SV(gv))) {
        cp_see(aTHX_ GvSV(gv), owner, 0, "$", name);
        has_variables = 1;
    }
    if (GvAV(gv) && !is_imported(aTHX_ (SV *)GvAV(gv), GvIMPORTED_AV(gv))) {
        cp_see(aTHX_ (SV *)GvAV(gv), owner, 0, "@", name);
        has_variables = 1;
    }
    /* A nested symbol table is another package. */
    if (GvHV(gv) && !HvENAME_HEK(GvHV(gv)) && !is_imported(aTHX_ (SV *)GvHV(gv), GvIMPORTED_HV(gv))) {
        cp_see(aTHX_ (SV *)GvHV(gv), owner, 0, "%", name);
        has_variables = 1;
    }
    if (GvIOp(gv) && !cp_keep)
        cp_see_handle(aTHX_ GvIOp(gv));
    /* A bareword handle may be opened later, a variable used for the first time; not by perl's note that
     * there is no such method, nor by its blocks. */
    if (GvIOp(gv) || (!GvCV(gv) && !GvCVGEN(gv) && strNE(name, "BEGIN")))
        has_variables = 1;
    if (GvCV(gv) && !GvCVGEN(gv))
        cp_see(aTHX_ (SV *)GvCV(gv), owner, 0, NULL, NULL);
    if (GvFORM(gv))
        cp_see(aTHX_ (SV *)GvFORM(gv), owner, 0, NULL, NULL);
    if (has_variables && !cp_keep && !without_globs && !(GvHV(gv) && HvENAME_HEK(GvHV(gv))) && !cp_head_of(aTHX_ (SV *)gv))
        cp_head_add(aTHX_ (SV *)gv, CP_HEAD_GLOB, owner);
}

/* A sub that nobody has asked for by name may stand in its package as a mere reference. */
GV *cp_glob_at(pTHX_ HV *stash, HE *entry) {
    SV *sv = HeVAL(entry);
    if (isGV_with_GP(sv))
        return (GV *)sv;
    /* So may a constant. */
    if (SvROK(sv) && (SvTYPE(SvRV(sv)) == SVt_PVCV || SvTYPE(SvRV(sv)) <= SVt_PVMG ||
                      SvTYPE(SvRV(sv)) == SVt_PVAV)) {
        gv_init_pvn((GV *)sv, stash, HeKEY(entry), (STRLEN)HeKLEN(entry), HeUTF8(entry) ? SVf_UTF8 : 0);
        return isGV_with_GP(sv) ? (GV *)sv : NULL;
    }
    return NULL;
}

#define EACH_GLOB(stash, entry, gv)                                                                    \
    for (STRLEN bucket = 0; HvARRAY(stash) && bucket <= HvMAX(stash); bucket++)                        \
        for (HE *entry = HvARRAY(stash)[bucket]; entry; entry = HeNEXT(entry))                         \
            for (GV *gv = HeVAL(entry) != &PL_sv_placeholder && isGV_with_GP(HeVAL(entry))             \
                              ? (GV *)HeVAL(entry)                                                     \
                              : NULL;                                                                  \
                 gv; gv = NULL)

static void see_package(pTHX_ HV *stash, U16 owner) {
    for (STRLEN i = 0; HvARRAY(stash) && i <= HvMAX(stash); i++)
        for (HE *entry = HvARRAY(stash)[i]; entry; entry = HeNEXT(entry)) {
            GV *gv = HeVAL(entry) != &PL_sv_placeholder ? cp_glob_at(aTHX_ stash, entry) : NULL;
            if (gv)
                see_glob(aTHX_ gv, owner);
        }
#ifdef CP_CLASSES
    /* The code that makes fields is in no sub's place. */
    if (HvSTASH_IS_CLASS(stash)) {
        const struct xpvhv_aux *aux = HvAUX(stash);
        cp_see(aTHX_ (SV *)aux->xhv_class_initfields_cv, owner, 0, NULL, NULL);
        const AV *blocks = aux->xhv_class_adjust_blocks;
        for (SSize_t i = 0; blocks && i <= AvFILLp(blocks); i++)
            cp_see(aTHX_ AvARRAY(blocks)[i], owner, 0, NULL, NULL);
    }
#endif
    if (!cp_keep && !cp_head_of(aTHX_ (SV *)stash))
        cp_head_add(aTHX_ (SV *)stash, CP_HEAD_STASH, owner);
}

static void walk_others(pTHX_ HV *stash, int depth) {
    const int is_mine = cp_is_site_class(aTHX_ stash);
    for (STRLEN i = 0; HvARRAY(stash) && i <= HvMAX(stash); i++)
        for (HE *entry = HvARRAY(stash)[i]; entry; entry = HeNEXT(entry)) {
            SV *sv = HeVAL(entry);
            if (sv == &PL_sv_placeholder || !isGV_with_GP(sv))
                continue;
            GV *gv = (GV *)sv;
            HV *inner = GvHV(gv);
            if (inner && HvENAME_HEK(inner)) {
                if (inner != PL_defstash && inner != stash && depth < 30)
                    walk_others(aTHX_ inner, depth + 1);
                inner = NULL;
            }
            SV *variables[] = {GvSV(gv), (SV *)GvAV(gv), (SV *)inner};
            const U32 imported[] = {GvIMPORTED_SV(gv), GvIMPORTED_AV(gv), GvIMPORTED_HV(gv)};
            for (int v = 0; v < 3 && !is_mine; v++)
                if (variables[v] && !imported[v] && SvREFCNT(variables[v]) > 1)
                    ptr_table_store(of_others, variables[v], variables[v]);
        }
}

static void of_others_walked(pTHX) {
    if (!of_others) {
        of_others = ptr_table_new();
        walk_others(aTHX_ PL_defstash, 0);
    }
}

/* The file in which a glob was made, if that is the site's: its owner plus one. */
static UV owner_of_file(pTHX_ const char *file, STRLEN length) {
    HV *files = only_files ? only_files : site_files;
    SV **owner = files ? hv_fetch(files, file, (I32)length, 0) : NULL;
    return owner ? SvUV(*owner) + 1 : 0;
}

static UV owner_of_glob(pTHX_ GV *gv) {
    HEK *file = GvFILE_HEK(gv);
    return file ? owner_of_file(aTHX_ HEK_KEY(file), (STRLEN)HEK_LEN(file)) : 0;
}

static UV owner_of_code(pTHX_ GV *gv) {
    CV *cv = GvCV(gv);
    return cv && !GvCVGEN(gv) && !GvIMPORTED_CV(gv) && !CvISXSUB(cv) && CvFILE(cv)
               ? owner_of_file(aTHX_ CvFILE(cv), strlen(CvFILE(cv)))
               : 0;
}

/* Whether a module that is no site's may define, or come to define, the package. */
static int is_somebodys(pTHX_ HV *stash, const char *name) {
    EACH_GLOB(stash, entry, gv) {
#ifdef CP_CLASSES
        /* The `new` of a class is perl's. */
        if (HvSTASH_IS_CLASS(stash) && GvCV(gv) && CvISXSUB(GvCV(gv)))
            continue;
#endif
        if (GvCV(gv) && !GvCVGEN(gv) && !GvIMPORTED_CV(gv) && !owner_of_code(aTHX_ gv))
            return 1;
    }
    SV *file = sv_2mortal(newSVpvs(""));
    for (const char *at = name; *at; at++)
        if (at[0] == ':' && at[1] == ':')
            sv_catpvs(file, "/"), at++;
        else
            sv_catpvn(file, at, 1);
    sv_catpvs(file, ".pm");
    HV *loaded = GvHVn(PL_incgv);
    SV **path = hv_fetch(loaded, SvPVX(file), (I32)SvCUR(file), 0);
    if (path)
        return !SvPOK(*path) || !owner_of_file(aTHX_ SvPVX(*path), SvCUR(*path));
    AV *inc = GvAVn(PL_incgv);
    for (SSize_t i = 0; i <= av_top_index(inc); i++) {
        SV **dir = av_fetch(inc, i, 0);
        if (!dir || SvROK(*dir) || !SvPOK(*dir))
            continue;
        Stat_t found;
        SV *there = sv_2mortal(newSVpvf("%" SVf "/%" SVf, SVfARG(*dir), SVfARG(file)));
        if (PerlLIO_stat(SvPVX(there), &found) == 0)
            return 1;
    }
    return 0;
}

/* Code of the site's in a package that is not. */
static void see_code_in(pTHX_ HV *stash) {
    EACH_GLOB(stash, entry, gv) {
        CV *cv = GvCVGEN(gv) ? NULL : GvCV(gv);
        const UV owner = cv && !CvISXSUB(cv) && CvFILE(cv)
                             ? owner_of_file(aTHX_ CvFILE(cv), strlen(CvFILE(cv)))
                             : 0;
        if (owner)
            cp_see(aTHX_ (SV *)cv, (U16)(owner - 1), 0, NULL, NULL);
    }
}

/* A package that the site's files speak of, or have made. */
static void see_foreign(pTHX_ HV *stash, const char *name) {
    UV owner = 0;
    EACH_GLOB(stash, entry, gv) {
        const UV by_code = owner_of_code(aTHX_ gv);
        const UV by_glob = by_code ? by_code : owner_of_glob(aTHX_ gv);
        if (by_glob && (!owner || by_code))
            owner = by_glob;
    }
    if (!owner || is_somebodys(aTHX_ stash, name)) {
        see_code_in(aTHX_ stash);
        return;
    }
    (void)hv_store(site_packages, name, (I32)strlen(name), newSVuv(owner - 1), 0);
    see_package(aTHX_ stash, (U16)(owner - 1));
}

static void see_stash(pTHX_ HV *stash, int depth) {
    for (STRLEN i = 0; HvARRAY(stash) && i <= HvMAX(stash); i++)
        for (HE *entry = HvARRAY(stash)[i]; entry; entry = HeNEXT(entry)) {
            SV *sv = HeVAL(entry);
            const STRLEN length = (STRLEN)HeKLEN(entry);
            if (sv == &PL_sv_placeholder || !isGV_with_GP(sv) || length < 3 ||
                memNE(HeKEY(entry) + length - 2, "::", 2))
                continue;
            HV *inner = GvHV((GV *)sv);
            if (!inner || inner == PL_defstash || !HvNAME_HEK(inner) || depth > 30)
                continue;
            const char *name = HvNAME(inner);
            if (!hv_exists(site_packages, name, (I32)strlen(name)))
                see_foreign(aTHX_ inner, name);
            see_stash(aTHX_ inner, depth + 1);
        }
}

/* ---- what the host says and asks ---- */

static HV *table_of(HV **table) {
    dTHXa(cp_perl);
    if (!*table)
        *table = newHV();
    return *table;
}

void cp_site_file(const char *file, size_t length, uint16_t owner) {
    dTHXa(cp_perl);
    HV *files = table_of(&site_files);
    if (!hv_exists(files, file, (I32)length))
        (void)hv_store(files, file, (I32)length, newSVuv(owner), 0);
}

void cp_site_dir(const char *dir, size_t length) {
    dTHXa(cp_perl);
    if (!site_dirs)
        site_dirs = newAV();
    av_push(site_dirs, newSVpvn(dir, length));
}

void cp_site_package(const char *name, size_t length, uint16_t owner) {
    dTHXa(cp_perl);
    (void)hv_store(table_of(&site_packages), name, (I32)length, newSVuv(owner), 0);
}

static int is_in_site_dir(pTHX_ SV *path) {
    for (SSize_t i = 0; site_dirs && i <= AvFILLp(site_dirs); i++) {
        SV *dir = AvARRAY(site_dirs)[i];
        if (SvCUR(path) > SvCUR(dir) && memEQ(SvPVX(path), SvPVX(dir), SvCUR(dir)) &&
            SvPVX(path)[SvCUR(dir)] == '/')
            return 1;
    }
    return 0;
}

/* Modules from the site's directories are the site's files. True if there were new ones. */
static int take_modules(pTHX_ U16 owner, HV *taken) {
    HV *loaded = GvHVn(PL_incgv), *files = table_of(&site_files);
    int any = 0;
    for (STRLEN i = 0; HvARRAY(loaded) && i <= HvMAX(loaded); i++)
        for (HE *entry = HvARRAY(loaded)[i]; entry; entry = HeNEXT(entry)) {
            SV *path = HeVAL(entry);
            if (path == &PL_sv_placeholder || !SvPOK(path) || !is_in_site_dir(aTHX_ path) ||
                hv_exists(files, SvPVX(path), (I32)SvCUR(path)))
                continue;
            (void)hv_store(files, SvPVX(path), (I32)SvCUR(path), newSVuv(owner), 0);
            if (taken)
                (void)hv_store(taken, SvPVX(path), (I32)SvCUR(path), newSVuv(owner), 0);
            any = 1;
        }
    return any;
}

void cp_site_modules(uint16_t owner) {
    dTHXa(cp_perl);
    (void)take_modules(aTHX_ owner, NULL);
}

void cp_find_nothing_in(cp_sv *sv) {
    dTHXa(cp_perl);
    cp_know(aTHX_ SvROK(SV(sv)) ? SvRV(SV(sv)) : SV(sv));
}

void cp_find_object(cp_sv *object, uint16_t owner) {
    dTHXa(cp_perl);
    if (!SvROK(SV(object)))
        return;
    if (owner)
        cp_make_local_keys(aTHX_ (HV *)SvRV(SV(object)));
    cp_see(aTHX_ SvRV(SV(object)), owner, 0, NULL, NULL);
    cp_follow(aTHX);
}

void cp_find_package(const char *name, size_t length, uint16_t owner, int keeps) {
    dTHXa(cp_perl);
    HV *stash = gv_stashpvn(name, (U32)length, 0);
    if (!stash)
        return;
    cp_keep = keeps;
    see_package(aTHX_ stash, owner);
    cp_follow(aTHX);
    cp_keep = 0;
}

void cp_find_variables_of(const char *package) {
    dTHXa(cp_perl);
    HV *stash = gv_stashpvn(package, (U32)strlen(package), 0);
    if (!stash)
        return;
    without_globs = 1;
    EACH_GLOB(stash, entry, gv)
    see_glob(aTHX_ gv, 0);
    cp_follow(aTHX);
    without_globs = 0;
}

static void see_ends(pTHX) {
    for (SSize_t i = 0; PL_endav && i <= AvFILLp(PL_endav); i++)
        if (cp_is_site_code(aTHX_ (CV *)AvARRAY(PL_endav)[i]) && !only_files)
            cp_see(aTHX_ AvARRAY(PL_endav)[i], 0, 0, NULL, NULL);
}

void cp_find_by_files(void) {
    dTHXa(cp_perl);
    table_of(&site_packages);
    ENTER;
    SAVETMPS;
    see_ends(aTHX);
    if (!only_files) {
        cp_see(aTHX_ GvSV(PL_defgv), 0, 0, NULL, NULL);
        cp_see(aTHX_ get_sv("\"", GV_ADD), 0, 0, NULL, NULL);
        cp_see(aTHX_ (SV *)GvAVn(PL_incgv), 0, 0, NULL, NULL);
    }
    EACH_GLOB(PL_defstash, entry, gv) {
        const UV owner = owner_of_glob(aTHX_ gv);
        if (owner && !(GvHV(gv) && HvENAME_HEK(GvHV(gv))))
            see_glob(aTHX_ gv, (U16)(owner - 1));
    }
    see_stash(aTHX_ PL_defstash, 0);
    if (!cp_head_of(aTHX_ (SV *)PL_defstash))
        cp_head_add(aTHX_ (SV *)PL_defstash, CP_HEAD_STASH, 0);
    cp_follow(aTHX);
    FREETMPS;
    LEAVE;
}

void cp_find_new_package(pTHX_ GV *gv, U16 owner) {
    HV *stash = GvHV(gv);
    if (cp_head_of(aTHX_ (SV *)stash))
        return;
    const U32 number = cp_head_add(aTHX_ (SV *)stash, CP_HEAD_STASH, owner);
    cp_heads[number].marks |= CP_EMPTY;
    cp_note_head(aTHX_ &cp_heads[number]);
}

static void note_anew(pTHX_ SV *sv) {
    const U32 number = sv ? cp_head_of(aTHX_ sv) : 0;
    if (number) {
        cp_heads[number - 1].marks &= (U8)~CP_EMPTY;
        cp_note_head(aTHX_ &cp_heads[number - 1]);
    }
}

/* Somebody spoke of the package's names before it was compiled. */
void cp_note_package(const char *name, size_t length) {
    dTHXa(cp_perl);
    HV *stash = gv_stashpvn(name, (U32)length, 0);
    if (!stash)
        return;
    EACH_GLOB(stash, entry, gv) {
        note_anew(aTHX_ GvSV(gv));
        note_anew(aTHX_ (SV *)GvAV(gv));
        if (!(GvHV(gv) && HvENAME_HEK(GvHV(gv))))
            note_anew(aTHX_ (SV *)GvHV(gv));
        note_anew(aTHX_ (SV *)gv);
    }
    note_anew(aTHX_ (SV *)stash);
}

void cp_find_code(cp_sv *code, uint16_t owner) {
    dTHXa(cp_perl);
    if (SvROK(SV(code)) && SvTYPE(SvRV(SV(code))) == SVt_PVCV) {
        cp_see(aTHX_ SvRV(SV(code)), owner, 0, NULL, NULL);
        cp_follow(aTHX);
    }
}

/* ---- modules that come later ---- */

static Perl_ppaddr_t perl_leaveeval;
static STRLEN modules_known;

static OP *leave_eval_noted(pTHX) {
    const PERL_CONTEXT *cx = CX_CUR();
    const int is_require = CxTYPE(cx) == CXt_EVAL && CxOLD_OP_TYPE(cx) == OP_REQUIRE;
    OP *next = perl_leaveeval(aTHX);
    if (is_require && cp_head_count && HvTOTALKEYS(GvHVn(PL_incgv)) != modules_known) {
        modules_known = HvTOTALKEYS(GvHVn(PL_incgv));
        /* What a site's module holds now is what each session begins with. */
        HV *taken = newHV();
        if (take_modules(aTHX_ 0, taken)) {
            const U32 first = cp_head_count;
            only_files = taken;
            cp_find_by_files();
            only_files = NULL;
            cp_note_from(aTHX_ first);
        }
        SvREFCNT_dec_NN((SV *)taken);
    }
    return next;
}

void cp_watch_modules(void) {
    if (perl_leaveeval)
        return;
    perl_leaveeval = PL_ppaddr[OP_LEAVEEVAL];
    PL_ppaddr[OP_LEAVEEVAL] = leave_eval_noted;
}

void cp_forget_others(pTHX) {
    if (of_others)
        ptr_table_free(of_others);
    of_others = NULL;
}
