/*
 * Finds what belongs to a site's Perl code: the variables of its files and packages, what its subs and
 * closures have captured, and what these lead to. It gives each a head (glue_exchange.c notes and
 * exchanges the contents). What is the process's own is left out: handles, code, tied and other magical
 * values, XS objects, and the variables of modules that are not the site's.
 */
#include "glue_exchange.h"

struct cp_head *cp_heads;
U32 cp_head_count;
static U32 head_room;

/* Every SV that was looked at: the number of its head plus one, or NO_HEAD. */
static PTR_TBL_t *known;
#define NO_HEAD 0xffffffffU

static HV *site_files, *site_packages;

/* While the files of a module that came in a session are looked for: what others hold by then is the
 * session's. */
static HV *only_files;

/* Variables of packages that are not the site's and to which something else refers, too. */
static PTR_TBL_t *of_others;

static AV *site_dirs;
static AV *unfit;

/* Found, and not yet followed. */
struct todo {
    SV *sv;
    U16 owner;
    char watch;
};
static struct todo *todo;
static size_t todo_count, todo_room;

/* Heads by owner: with many of them the later ones are watched. */
static U32 by_owner[1024];

#define MANY 1000

/* The names of large variables, and the package that is looked at. */
static PTR_TBL_t *names;
static const char *package = "";

const char *cp_name_of(pTHX_ SV *sv) {
    const char *name = names ? ptr_table_fetch(names, sv) : NULL;
    return name ? name : "";
}

/* What is found is marked as known and gets no head. */
static int keep;

U32 cp_head_of(pTHX_ SV *sv) {
    U32 number = known ? (U32)PTR2UV(ptr_table_fetch(known, sv)) : 0;
    return number == NO_HEAD ? 0 : number;
}

U32 cp_head_add(pTHX_ SV *sv, int kind, U16 owner) {
    if (cp_head_count == head_room) {
        head_room = head_room ? head_room * 2 : 256;
        Renew(cp_heads, head_room, struct cp_head);
    }
    struct cp_head *head = &cp_heads[cp_head_count];
    Zero(head, 1, struct cp_head);
    head->sv = SvREFCNT_inc_simple_NN(sv);
    head->kind = (U8)kind;
    head->owner = owner;
    if (!known)
        known = ptr_table_new();
    ptr_table_store(known, sv, INT2PTR(void *, (UV)cp_head_count + 1));
    return cp_head_count++;
}

static void know(pTHX_ SV *sv) {
    if (!known)
        known = ptr_table_new();
    if (!ptr_table_fetch(known, sv))
        ptr_table_store(known, sv, INT2PTR(void *, (UV)NO_HEAD));
}

void cp_tell_unfit(pTHX_ U16 owner, int why, const char *sigil, const char *name, const char *package) {
    if (!unfit)
        unfit = newAV();
    AV *one = newAV();
    av_push(one, newSViv(owner));
    av_push(one, newSViv(why));
    av_push(one, newSVpvf("%s%s", sigil, name));
    av_push(one, newSVpv(package, 0));
    av_push(unfit, newRV_noinc((SV *)one));
}

cp_sv *cp_unfit(void) {
    AV *told = unfit;
    unfit = NULL;
    return CP(told);
}

int cp_is_ordinary_magic(SV *sv) {
    for (MAGIC *mg = SvTYPE(sv) >= SVt_PVMG ? SvMAGIC(sv) : NULL; mg; mg = mg->mg_moremagic)
        switch (mg->mg_type) {
        case PERL_MAGIC_regex_global:
        case PERL_MAGIC_utf8:
        case PERL_MAGIC_vstring:
        case PERL_MAGIC_backref:
        case PERL_MAGIC_arylen_p:
        case PERL_MAGIC_taint:
            break;
        case PERL_MAGIC_ext:
            /* What a module has hung on the value: that stays, and the contents are the value's own, unless
             * it is asked for them. */
            if (mg->mg_virtual && (mg->mg_virtual->svt_get || mg->mg_virtual->svt_set))
                return 0;
            break;
        default:
            return 0;
        }
    return 1;
}

/* What somebody must be told of: a variable whose contents are behind magic. */
static int why_unfit(SV *sv) {
    if (mg_find(sv, SvTYPE(sv) < SVt_PVAV ? PERL_MAGIC_tiedscalar : PERL_MAGIC_tied))
        return CP_UNFIT_TIED;
    /* perl's own, and what watches. */
    if (mg_find(sv, PERL_MAGIC_isa) || mg_find(sv, PERL_MAGIC_sv) ||
        mg_find(sv, PERL_MAGIC_env) || mg_find(sv, PERL_MAGIC_sig) || mg_find(sv, PERL_MAGIC_arylen))
        return 0;
    return CP_UNFIT_MAGICAL;
}

static void later(SV *sv, U16 owner, int watch) {
    if (todo_count == todo_room) {
        todo_room = todo_room ? todo_room * 2 : 256;
        Renew(todo, todo_room, struct todo);
    }
    todo[todo_count++] = (struct todo){.sv = sv, .owner = owner, .watch = (char)watch};
}

static size_t size_of(SV *sv) {
    return SvTYPE(sv) == SVt_PVAV ? (size_t)(AvFILLp((AV *)sv) + 1) : (size_t)HvTOTALKEYS((HV *)sv);
}

static int is_site_class(pTHX_ HV *stash) {
    return site_packages && HvNAME_HEK(stash) &&
           hv_exists(site_packages, HvNAME(stash), (I32)HvNAMELEN(stash));
}

/* Looks at a value. With a name it is a variable. */
static void see(pTHX_ SV *sv, U16 owner, int watch, const char *sigil, const char *name) {
    if (!sv || SvIMMORTAL(sv) || (known && ptr_table_fetch(known, sv)))
        return;
    const svtype type = SvTYPE(sv);
    if (type == SVt_PVCV || type == SVt_PVFM) {
        know(aTHX_ sv);
        later(sv, owner, 0);
        return;
    }
    if (type == SVt_PVAV && SvMAGICAL(sv) && mg_find(sv, PERL_MAGIC_isa)) {
        /* Its elements have magic, too, and are taken as they are. */
        if (keep)
            know(aTHX_ sv);
        else
            (void)cp_head_add(aTHX_ sv, CP_HEAD_ARRAY, owner);
        return;
    }
    if (!cp_is_ordinary_magic(sv)) {
        const int why = name ? why_unfit(sv) : 0;
        if (why && !keep)
            cp_tell_unfit(aTHX_ owner, why, sigil, name, package);
        know(aTHX_ sv);
        return;
    }
    int kind = -1;
    if (type == SVt_PVAV)
        kind = CP_HEAD_ARRAY;
    else if (type == SVt_PVHV)
        kind = HvSHAREKEYS((HV *)sv) && !HvENAME_HEK((HV *)sv) && !SvREADONLY(sv) ? CP_HEAD_HASH : -1;
    else if (type <= SVt_PVMG || (type == SVt_PVGV && SvFAKE(sv)))
        /* A blessed scalar may hold a pointer of an XS module's. */
        kind = SvOBJECT(sv) && !is_site_class(aTHX_ SvSTASH(sv)) ? -1 : CP_HEAD_SCALAR;
    if (kind < 0 || keep) {
        know(aTHX_ sv);
        if (kind >= 0 || type == SVt_PVHV)
            later(sv, owner, 0);
        return;
    }
    if ((kind == CP_HEAD_ARRAY || kind == CP_HEAD_HASH) && size_of(sv) > CP_LARGE)
        watch = 1;
    /* A variable of its own is compared: its iterator or match position counts, too. */
    if (!name && owner < C_ARRAY_LENGTH(by_owner) && ++by_owner[owner] > MANY)
        watch = 1;
    if (name && watch) {
        if (!names)
            names = ptr_table_new();
        ptr_table_store(names, sv, SvPVX(newSVpvf("%s%s", sigil, name)));
    }
    const U32 number = cp_head_add(aTHX_ sv, kind, owner);
    if (watch)
        cp_heads[number].marks |= CP_WATCHED;
    later(sv, owner, watch);
}

static void follow_scalar(pTHX_ SV *sv, U16 owner, int watch) {
    if (SvROK(sv))
        see(aTHX_ SvRV(sv), owner, watch, NULL, NULL);
}

int cp_is_site_code(pTHX_ CV *cv) {
    if (CvISXSUB(cv))
        return 0;
    const char *file = CvFILE(cv);
    HV *stash = CvSTASH(cv);
    return (file && site_files && hv_exists(site_files, file, (I32)strlen(file))) ||
           (stash && is_site_class(aTHX_ stash));
}

/* A constant may be a reference, or a list of them. */
static void follow_constant(pTHX_ CV *cv, U16 owner) {
    SV *value = CvCONST(cv) ? (SV *)CvXSUBANY(cv).any_ptr : NULL;
    if (!value)
        return;
    if (SvTYPE(value) == SVt_PVAV) {
        for (SSize_t i = 0; i <= AvFILLp((AV *)value); i++)
            if (AvARRAY((AV *)value)[i] && SvROK(AvARRAY((AV *)value)[i]))
                see(aTHX_ SvRV(AvARRAY((AV *)value)[i]), owner, 0, NULL, NULL);
    } else if (SvROK(value)) {
        see(aTHX_ SvRV(value), owner, 0, NULL, NULL);
    }
}

/* What a sub or closure of the site's has captured, and what it keeps from call to call. */
static void follow_code(pTHX_ CV *cv, U16 owner) {
    if (CvISXSUB(cv)) {
        follow_constant(aTHX_ cv, owner);
        return;
    }
    if (!cp_is_site_code(aTHX_ cv) || !CvPADLIST(cv))
        return;
    PADLIST *list = CvPADLIST(cv);
    if (PadlistMAX(list) < 1 || !PadlistARRAY(list)[1])
        return;
    PADNAMELIST *padnames = PadlistNAMES(list);
    package = CvSTASH(cv) && HvNAME_HEK(CvSTASH(cv)) ? HvNAME(CvSTASH(cv)) : "";
    AV *pad = (AV *)PadlistARRAY(list)[1];
    for (SSize_t i = 1; i <= PadnamelistMAX(padnames) && i <= AvFILLp(pad); i++) {
        PADNAME *name = PadnamelistARRAY(padnames)[i];
        const char *text = name ? PadnamePV(name) : NULL;
        SV *sv = AvARRAY(pad)[i];
        if (!text || !sv || PadnameIsOUR(name))
            continue;
        /* "&": the prototype of an anonymous sub; "&name": a lexical one. "$" alone: whether a `state`
         * was initialised. */
        if (PadnameOUTER(name) || PadnameIsSTATE(name) || *text == '&')
            see(aTHX_ sv, owner, 0, "", text);
    }
}

static void follow_all(pTHX) {
    while (todo_count) {
        const struct todo next = todo[--todo_count];
        SV *sv = next.sv;
        switch (SvTYPE(sv)) {
        case SVt_PVAV:
            for (SSize_t i = 0; i <= AvFILLp((AV *)sv); i++)
                see(aTHX_ AvARRAY((AV *)sv)[i], next.owner, next.watch || size_of(sv) > CP_LARGE, NULL, NULL);
            break;
        case SVt_PVHV: {
            HV *hash = (HV *)sv;
            if (HvENAME_HEK(hash))
                break;
            const int watch = next.watch || size_of(sv) > CP_LARGE;
            for (STRLEN i = 0; HvARRAY(hash) && i <= HvMAX(hash); i++)
                for (HE *entry = HvARRAY(hash)[i]; entry; entry = HeNEXT(entry))
                    if (HeVAL(entry) != &PL_sv_placeholder && !cp_is_local_key(HeKEY_hek(entry)))
                        see(aTHX_ HeVAL(entry), next.owner, watch, NULL, NULL);
            break;
        }
        case SVt_PVCV:
        case SVt_PVFM:
            follow_code(aTHX_ (CV *)sv, next.owner);
            break;
        default:
            follow_scalar(aTHX_ sv, next.owner, next.watch);
        }
    }
}

/* ---- symbol tables ---- */

static void of_others_walked(pTHX);

/* Imported from a package that is not the site's. (`use vars` imports a package's own variables.) */
static int is_imported(pTHX_ SV *sv, U32 imported) {
    return imported && SvREFCNT(sv) > 1 && (of_others_walked(aTHX), ptr_table_fetch(of_others, sv));
}

static void see_glob(pTHX_ GV *gv, U16 owner) {
    const char *name = GvNAME(gv);
    int has_variables = 0;
    package = GvSTASH(gv) && HvNAME_HEK(GvSTASH(gv)) ? HvNAME(GvSTASH(gv)) : "";
    if (GvSV(gv) && !is_imported(aTHX_ GvSV(gv), GvIMPORTED_SV(gv))) {
        see(aTHX_ GvSV(gv), owner, 0, "$", name);
        has_variables = 1;
    }
    if (GvAV(gv) && !is_imported(aTHX_ (SV *)GvAV(gv), GvIMPORTED_AV(gv))) {
        see(aTHX_ (SV *)GvAV(gv), owner, 0, "@", name);
        has_variables = 1;
    }
    /* A nested symbol table is another package. */
    if (GvHV(gv) && !HvENAME_HEK(GvHV(gv)) && !is_imported(aTHX_ (SV *)GvHV(gv), GvIMPORTED_HV(gv))) {
        see(aTHX_ (SV *)GvHV(gv), owner, 0, "%", name);
        has_variables = 1;
    }
    /* A bareword handle may be opened later, a variable used for the first time; not by perl's note that
     * there is no such method, nor by its blocks. */
    if (GvIOp(gv) || (!GvCV(gv) && !GvCVGEN(gv) && strNE(name, "BEGIN")))
        has_variables = 1;
    if (GvCV(gv) && !GvCVGEN(gv))
        see(aTHX_ (SV *)GvCV(gv), owner, 0, NULL, NULL);
    if (GvFORM(gv))
        see(aTHX_ (SV *)GvFORM(gv), owner, 0, NULL, NULL);
    if (has_variables && !keep && !(GvHV(gv) && HvENAME_HEK(GvHV(gv))) && !cp_head_of(aTHX_ (SV *)gv))
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
    if (!keep && !cp_head_of(aTHX_ (SV *)stash))
        cp_head_add(aTHX_ (SV *)stash, CP_HEAD_STASH, owner);
}

static void walk_others(pTHX_ HV *stash, int depth) {
    const int is_mine = is_site_class(aTHX_ stash);
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
    EACH_GLOB(stash, entry, gv)
    if (GvCV(gv) && !GvCVGEN(gv) && !GvIMPORTED_CV(gv) && !owner_of_code(aTHX_ gv))
        return 1;
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
            see(aTHX_ (SV *)cv, (U16)(owner - 1), 0, NULL, NULL);
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
    know(aTHX_ SvROK(SV(sv)) ? SvRV(SV(sv)) : SV(sv));
}

void cp_find_object(cp_sv *object, uint16_t owner) {
    dTHXa(cp_perl);
    if (!SvROK(SV(object)))
        return;
    if (owner)
        cp_make_local_keys(aTHX_ (HV *)SvRV(SV(object)));
    see(aTHX_ SvRV(SV(object)), owner, 0, NULL, NULL);
    follow_all(aTHX);
}

void cp_find_package(const char *name, size_t length, uint16_t owner, int keeps) {
    dTHXa(cp_perl);
    HV *stash = gv_stashpvn(name, (U32)length, 0);
    if (!stash)
        return;
    keep = keeps;
    see_package(aTHX_ stash, owner);
    follow_all(aTHX);
    keep = 0;
}

void cp_find_variables_of(const char *package) {
    dTHXa(cp_perl);
    HV *stash = gv_stashpvn(package, (U32)strlen(package), 0);
    if (!stash)
        return;
    EACH_GLOB(stash, entry, gv)
    see_glob(aTHX_ gv, 0);
    follow_all(aTHX);
}

static void see_ends(pTHX) {
    for (SSize_t i = 0; PL_endav && i <= AvFILLp(PL_endav); i++)
        if (cp_is_site_code(aTHX_ (CV *)AvARRAY(PL_endav)[i]) && !only_files)
            see(aTHX_ AvARRAY(PL_endav)[i], 0, 0, NULL, NULL);
}

void cp_find_by_files(void) {
    dTHXa(cp_perl);
    table_of(&site_packages);
    ENTER;
    SAVETMPS;
    see_ends(aTHX);
    if (!only_files) {
        see(aTHX_ GvSV(PL_defgv), 0, 0, NULL, NULL);
        see(aTHX_ (SV *)GvAVn(PL_incgv), 0, 0, NULL, NULL);
    }
    EACH_GLOB(PL_defstash, entry, gv) {
        const UV owner = owner_of_glob(aTHX_ gv);
        if (owner && !(GvHV(gv) && HvENAME_HEK(GvHV(gv))))
            see_glob(aTHX_ gv, (U16)(owner - 1));
    }
    see_stash(aTHX_ PL_defstash, 0);
    if (!cp_head_of(aTHX_ (SV *)PL_defstash))
        cp_head_add(aTHX_ (SV *)PL_defstash, CP_HEAD_STASH, 0);
    follow_all(aTHX);
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
        see(aTHX_ SvRV(SV(code)), owner, 0, NULL, NULL);
        follow_all(aTHX);
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

void cp_find_anew(void) {
    dTHXa(cp_perl);
    for (U32 i = 0; i < cp_head_count; i++) {
        struct cp_head *head = &cp_heads[i];
        if (head->marks & CP_WATCHED)
            cp_unwatch_head(aTHX_ head);
        /* What was noted is not given back: it happens once in a worker's life, and the values are
         * the variables' own, too. */
    }
    cp_dirty_clear();
    cp_head_count = 0;
    Zero(by_owner, C_ARRAY_LENGTH(by_owner), U32);
    if (known)
        ptr_table_free(known);
    if (of_others)
        ptr_table_free(of_others);
    known = of_others = NULL;
}
