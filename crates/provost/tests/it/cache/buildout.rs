//! zc.buildout, whose files come through the cache (networkcache contract, section 11).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base::Sha512;
use entry::keys;
use testkit::http::anybody;
use testkit::{House, Ran, StandIn, StandInReply, buildout_program, run};

use super::commands::operator;
use crate::fleet_commands::Operator;
use crate::houses::{ended_without_a_fault, up};
use crate::program::PROVOST;

/// A recipe that downloads as recipes do.
const RECIPE: &str = "
from zc.buildout.download import Download

class Recipe:
    def __init__(self, buildout, name, options):
        self.buildout, self.options = buildout, options
        self.path = buildout['buildout']['parts-directory'] + '/' + name

    def install(self):
        download = Download(self.buildout['buildout'])
        download(self.options['url'], self.options.get('md5sum') or None, self.path)
        return self.path

    update = install
";

/// A folder that a build is made in, and where its files come from.
struct Build {
    operator: Operator,
    /// By path; what is not there is not found.
    files: Arc<Mutex<Vec<(String, String)>>>,
    origin: StandIn,
}

impl Build {
    fn with(operator: Operator) -> Self {
        let files = Arc::<Mutex<Vec<(String, String)>>>::default();
        let served = files.clone();
        let origin = StandIn::http(move |asked| {
            let found = served.lock().unwrap().iter().find(|(path, _)| *path == asked.path).cloned();
            let status = if found.is_some() { 200 } else { 404 };
            Some(StandInReply { status, headers: Vec::new(), body: found.unwrap_or_default().1 })
        });
        // As if they were installed beside buildout, whose environment is everybody's.
        let ours =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations/buildout/provost_buildout.py");
        operator.write("site/provost_buildout.py", &std::fs::read_to_string(ours).unwrap());
        operator.write("site/fetching.py", RECIPE);
        for (name, version, points) in [
            ("provost_buildout", "0.1.0", "[zc.buildout.extension]\ndefault = provost_buildout:extension\n"),
            ("fetching", "1.0", "[zc.buildout]\ndefault = fetching:Recipe\n"),
        ] {
            let folder = format!("site/{name}-{version}.dist-info");
            let called = name.replace('_', "-");
            let metadata = format!("Metadata-Version: 2.1\nName: {called}\nVersion: {version}\n");
            operator.write(&format!("{folder}/METADATA"), &metadata);
            let link = format!("{}\n.\n", operator.home().join("site").display());
            operator.write(&format!("develop-eggs/{called}.egg-link"), &link);
            operator.write(&format!("{folder}/entry_points.txt"), points);
        }
        Self { operator, files, origin }
    }

    /// From now on the origin has these.
    fn serve(&self, files: &[(&str, &str)]) {
        let files = files.iter().map(|(path, body)| ((*path).to_owned(), (*body).to_owned()));
        *self.files.lock().unwrap() = files.collect();
    }

    fn url(&self, path: &str) -> String {
        self.origin.url(path)
    }

    /// An index that has nothing: no other is asked, should anything be missing.
    fn index(&self) -> String {
        self.url("/simple/")
    }

    fn part(&self) -> PathBuf {
        self.operator.home().join("parts/source")
    }

    /// The profile of a part with these options.
    fn profile(&self, part: &str, more: &str) {
        self.operator.write(
            "buildout.cfg",
            &format!(
                "[buildout]\nextensions = provost-buildout\nparts = source\nnewest = false\nindex = {}\n{more}\n\
                 [provost]\nprogram = {PROVOST}\n\n[source]\nrecipe = fetching\n{part}\n",
                self.index()
            ),
        );
    }

    /// Builds anew, with this program of buildout's environment.
    fn build_by(&self, program: &str, arguments: &[&str]) -> Ran {
        let home = self.operator.home();
        let _ = std::fs::remove_file(home.join(".installed.cfg"));
        let _ = std::fs::remove_dir_all(home.join("parts"));
        let _ = std::fs::create_dir(home.join("tmp"));
        run(Command::new(buildout_program(program))
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", home.join("tmp"))
            .env("PYTHONPATH", home.join("site"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PROVOST_PROGRAM", PROVOST))
    }

    fn build(&self) -> Ran {
        self.build_by("buildout", &["-N"])
    }

    #[track_caller]
    fn has(&self, ran: &Ran, expected: &str) {
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert_eq!(std::fs::read_to_string(self.part()).unwrap(), expected, "{ran:#?}");
    }
}

/// What is under the key of `url`.
fn entries(house: &House, url: &str) -> u16 {
    let url = house.http_url(&format!("/shadir/{}", keys::file(url)));
    anybody().get(url).send().unwrap().status().as_u16()
}

#[test]
fn builds_outlive_where_their_files_come_from() {
    let house = up();
    let build = Build::with(operator(&house));
    let url = build.url("/source.tar");
    build.profile(&format!("url = {url}"), "");
    build.serve(&[("/source.tar", "the source")]);
    build.has(&build.build(), "the source");
    assert_eq!(entries(&house, &url), 200, "it was uploaded");

    // It is gone there.
    build.serve(&[]);
    let from_cache = build.build();
    build.has(&from_cache, "the source");
    assert!(!from_cache.stdout.contains("without the cache"), "{from_cache:?}");
    let md5 = keys::md5_hex("the source");
    for part in [format!("url = {url}\nmd5sum = {md5}"), format!("url = {url}#md5={md5}")] {
        build.profile(&part, "");
        build.has(&build.build(), "the source");
    }

    // What the cache has is not what must come; neither is what the origin has, and that is an error as ever.
    build.serve(&[("/source.tar", "something else")]);
    let other = keys::md5_hex("something else");
    for part in [format!("url = {url}\nmd5sum = {other}"), format!("url = {url}#md5={other}")] {
        build.profile(&part, "");
        build.has(&build.build(), "something else");
    }
    let neither = keys::md5_hex("a third");
    build.profile(&format!("url = {url}\nmd5sum = {neither}"), "");
    let wrong = build.build();
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("MD5 checksum mismatch"), "{wrong:?}");

    // What nobody is to keep is not asked for there.
    build.serve(&[("/branch/file", "of today")]);
    let branch = build.url("/branch/file");
    let skip = format!("url = {branch}\n\n[provost]\nskip = {}", build.url("/branch/"));
    build.profile(&skip, "");
    build.has(&build.build(), "of today");
    assert_eq!(entries(&house, &branch), 404);

    // Offline nobody is asked at all; and what is in the folder for downloads is taken from there.
    build.profile(&format!("url = {url}"), "offline = true");
    let offline = build.build();
    assert_eq!(offline.code, Some(1), "{offline:?}");
    assert!(offline.stderr.contains("offline mode"), "{offline:?}");
    std::fs::create_dir(build.operator.home().join("downloads")).unwrap();
    build.operator.write("downloads/source.tar", "by hand");
    build.profile(&format!("url = {url}"), "offline = true\ndownload-cache = downloads");
    build.has(&build.build(), "by hand");
    let local = build.operator.write("local", "from here");
    build.profile(&format!("url = file://{local}"), "");
    build.has(&build.build(), "from here");
    assert_eq!(entries(&house, &format!("file://{local}")), 404);

    // Without a cache, and without the program.
    ended_without_a_fault(house);
    build.serve(&[("/source.tar", "without")]);
    build.profile(&format!("url = {url}"), "");
    build.has(&build.build(), "without");
    build.profile(&format!("url = {url}\n\n[provost]\nprogram = /nowhere/provost"), "");
    let without = build.build();
    build.has(&without, "without");
    assert!(without.stdout.contains("is fetched without the cache"), "{without:?}");
    let left = std::fs::read_dir(build.operator.home().join("tmp")).unwrap();
    let left: Vec<_> =
        left.flatten().filter(|file| file.path().to_string_lossy().contains(".fetched")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// In the place of buildout, it is about profiles as well.
#[test]
fn profiles_outlive_where_they_come_from() {
    let house = up();
    let build = Build::with(operator(&house));
    let (stack, url) = (build.url("/stack.cfg"), build.url("/source.tar"));
    let extended = format!("[buildout]\nparts = source\n\n[source]\nrecipe = fetching\nurl = {url}\n");
    build.serve(&[("/stack.cfg", &extended), ("/source.tar", "the source")]);
    build.operator.write(
        "buildout.cfg",
        &format!("[buildout]\nextends = {stack}\nnewest = false\nindex = {}\n", build.index()),
    );
    let launch = || build.build_by("python", &["-m", "provost_buildout", "-N"]);
    build.has(&launch(), "the source");
    assert_eq!((entries(&house, &stack), entries(&house, &url)), (200, 200));
    let artifact = house.http_url(&format!("/shacache/{}", Sha512::of(extended.as_bytes())));
    assert_eq!(anybody().get(artifact).send().unwrap().status(), 200);
    build.serve(&[]);
    build.has(&launch(), "the source");
    ended_without_a_fault(house);
    build.serve(&[("/stack.cfg", &extended), ("/source.tar", "another")]);
    build.has(&launch(), "another");
}
