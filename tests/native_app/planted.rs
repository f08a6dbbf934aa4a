//! Foreign listings, links and files where `app build` writes or reads.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use snowfeed::ErrorKind;
use snowfeed::cli::{Exit, run_from};
use snowfeed::native_app::Bundle;
use snowfeed::native_app::image::Image;
use tempfile::tempdir;

use crate::image::elf::Elf;
use crate::support::{JsonLines, github};

const MARKER: &str = ".snowfeed-bundle";

fn bundle() -> Bundle {
    Bundle::new(&github()).unwrap()
}

/// Adds a file to the listing of a bundle, in the listing's current format, and in an older one.
fn plant(folder: &Path, path: &str, contents: &[u8]) -> [String; 2] {
    let list = fs::read_to_string(folder.join(MARKER)).unwrap();
    [format!("{list}{:x}  {path}\n", Sha256::digest(contents)), format!("{list}{path}\n")]
}

#[test]
fn a_listing_cannot_reach_outside_the_bundle() {
    let outer = tempdir().unwrap();
    let folder = outer.path().join("sf_build");
    bundle().write(&folder).unwrap();
    let outside = outer.path().join("precious");
    let files = [("../precious", &outside), ("notes.txt", &folder.join("notes.txt")), (".env", &folder.join(".env"))];
    let ways = [outside.to_str().unwrap(), "page/../../precious", "page/../notes.txt", "./notes.txt"];
    let paths = files.map(|(path, _)| path).into_iter().chain(ways);
    let _ = files.map(|(_, file)| fs::write(file, "precious").unwrap());
    let listing = fs::read(folder.join(MARKER)).unwrap();
    for path in paths {
        for planted in plant(&folder, path, b"precious") {
            fs::write(folder.join(MARKER), planted).unwrap();
            let error = bundle().write(&folder).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{path}");
            // Whatever is read would be deployed.
            assert_eq!(Bundle::read(&folder).unwrap_err().kind(), ErrorKind::Configuration, "{path}");
            for (_, file) in files {
                assert_eq!(fs::read(file).unwrap(), b"precious", "{path}");
            }
        }
        fs::write(folder.join(MARKER), &listing).unwrap();
    }
}

#[test]
fn a_listed_file_with_other_contents_is_neither_removed_nor_replaced() {
    let folder = tempdir().unwrap();
    bundle().write(&folder).unwrap();
    let stale = folder.path().join("page/mine.py");
    fs::write(&stale, "precious").unwrap();
    let [planted, _] = plant(folder.path(), "page/mine.py", b"what was written");
    fs::write(folder.path().join(MARKER), planted).unwrap();
    assert_eq!(bundle().write(&folder).unwrap().removed, Vec::<String>::new());
    assert_eq!(fs::read(&stale).unwrap(), b"precious");

    // The whole folder is foreign: an empty listing does not make it a bundle.
    let folder = tempdir().unwrap();
    let title = "# Files that `app build` wrote here";
    fs::write(folder.path().join("README.md"), "precious").unwrap();
    let whole = Bundle::new(&github()).unwrap();
    let listed = tempdir().unwrap();
    whole.write(&listed).unwrap();
    let listing = fs::read_to_string(listed.path().join(MARKER)).unwrap();
    let first = listing.lines().next().unwrap();
    assert!(first.starts_with(title));
    for planted in [listing.clone(), format!("{first}\n")] {
        fs::write(folder.path().join(MARKER), planted).unwrap();
        let error = whole.write(&folder).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.message().contains("README.md"), "{error}");
        assert_eq!(fs::read(folder.path().join("README.md")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "every file is checked before any is written");
    }
}

#[test]
fn nothing_is_written_through_a_hard_link() {
    let outer = tempdir().unwrap();
    let folder = outer.path().join("sf_build");
    Bundle::new(&github().schedule("1h")).unwrap().write(&folder).unwrap();
    // The contents of a bundle file that the next build changes, and the listing itself.
    for path in ["README.md", MARKER] {
        let kept = outer.path().join(path);
        fs::hard_link(folder.join(path), &kept).unwrap();
    }
    let before = fs::read(outer.path().join("README.md")).unwrap();
    let listed = fs::read(outer.path().join(MARKER)).unwrap();
    assert!(bundle().write(&folder).unwrap().written.contains(&"README.md".to_owned()));
    assert_eq!(fs::read(outer.path().join("README.md")).unwrap(), before);
    assert_eq!(fs::read(outer.path().join(MARKER)).unwrap(), listed);
    assert_ne!(fs::read(folder.join("README.md")).unwrap(), before);

    // A foreign file with the name of a bundle file.
    let precious = outer.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::remove_file(folder.join("setup.sql")).unwrap();
    fs::hard_link(&precious, folder.join("setup.sql")).unwrap();
    assert_eq!(bundle().write(&folder).unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn links_out_of_the_folder_are_rejected() {
    for path in ["page", "page/app.py", "setup.sql", MARKER] {
        let outer = tempdir().unwrap();
        let folder = outer.path().join("sf_build");
        bundle().write(&folder).unwrap();
        let elsewhere = outer.path().join("elsewhere");
        fs::rename(folder.join(path), &elsewhere).unwrap();
        symlink(&elsewhere, folder.join(path)).unwrap();
        let other = Bundle::new(&github().schedule("1h").title("Another")).unwrap();
        let before = crate::image::tree(outer.path());
        assert_eq!(other.write(&folder).unwrap_err().kind(), ErrorKind::Configuration, "{path}");
        assert_eq!(Bundle::read(&folder).unwrap_err().kind(), ErrorKind::Configuration, "{path}");
        assert_eq!(crate::image::tree(outer.path()), before, "{path}");
    }
    // The folder itself: `sf_build` is the default, and may be planted in a downloaded folder.
    let outer = tempdir().unwrap();
    fs::create_dir(outer.path().join("elsewhere")).unwrap();
    for (link, target) in [("sf_build", "elsewhere"), ("dangling", "missing")] {
        symlink(outer.path().join(target), outer.path().join(link)).unwrap();
        for name in [link.to_owned(), format!("{link}/"), format!("{link}/.")] {
            assert!(bundle().write(outer.path().join(&name)).is_err(), "{name}");
        }
    }
    assert_eq!(fs::read_dir(outer.path().join("elsewhere")).unwrap().count(), 0);
    assert!(!outer.path().join("missing").exists());
}

#[tokio::test]
async fn links_in_a_page_are_rejected() {
    let outer = tempdir().unwrap();
    let secret = outer.path().join("hush");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("id"), "hunter2").unwrap();
    for (name, target) in [("key.py", secret.join("id")), ("more", secret.clone()), ("none.py", outer.path().join("x"))]
    {
        let (page, out) = (outer.path().join("page"), outer.path().join("out"));
        fs::create_dir_all(page.join("deep")).unwrap();
        fs::write(page.join("app.py"), "x").unwrap();
        for place in [page.join(name), page.join("deep").join(name)] {
            symlink(&target, &place).unwrap();
            let error = Bundle::new(&github().page(&page)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
            let args = ["lines", "app", "build", "--page", page.to_str().unwrap(), "--out", out.to_str().unwrap()];
            assert_eq!(run_from(JsonLines, args).await, Exit::Configuration, "{name}");
            assert!(!out.exists(), "{name}");
            fs::remove_file(place).unwrap();
        }
    }
    // A name with a line break would be two lines of the listing.
    fs::write(outer.path().join("page/a\nb.py"), "x").unwrap();
    assert_eq!(Bundle::new(&github().page(outer.path().join("page"))).unwrap_err().kind(), ErrorKind::Configuration);
    fs::remove_file(outer.path().join("page/a\nb.py")).unwrap();
    // The build waits for neither a pipe nor a socket.
    let _socket = std::os::unix::net::UnixListener::bind(outer.path().join("page/socket.py")).unwrap();
    assert_eq!(Bundle::new(&github().page(outer.path().join("page"))).unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn replacing_an_image_keeps_foreign_files() {
    let outer = tempdir().unwrap();
    let program = outer.path().join("program");
    fs::write(&program, Elf::good().bytes()).unwrap();
    let build = |version: &str| Image::builder(&program).version(version).write(outer.path().join("image"));
    let image = outer.path().join("image");
    let blobs = image.join("blobs/sha256");
    type Plant<'a> = &'a dyn Fn();
    let plants: [(&str, Plant<'_>); 6] = [
        ("a file more", &|| fs::write(image.join("precious"), "precious").unwrap()),
        ("a blob more", &|| fs::write(blobs.join("0".repeat(64)), "precious").unwrap()),
        ("another index", &|| fs::write(image.join("index.json"), "{\"precious\": 1}").unwrap()),
        ("another mark", &|| fs::write(image.join("oci-layout"), "precious").unwrap()),
        ("a blob of other contents", &|| {
            let blob = fs::read_dir(&blobs).unwrap().next().unwrap().unwrap().path();
            fs::write(blob, "precious").unwrap();
        }),
        ("a link", &|| symlink(&program, image.join("precious")).unwrap()),
    ];
    for (what, plant) in plants {
        build("1").unwrap();
        build("2").unwrap();
        plant();
        let before = crate::image::tree(&image);
        assert_eq!(build("3").unwrap_err().kind(), ErrorKind::Configuration, "{what}");
        assert_eq!(crate::image::tree(&image), before, "{what}");
        fs::remove_dir_all(&image).unwrap();
    }
    // Only a listing, in a foreign folder.
    fs::create_dir(&image).unwrap();
    fs::write(image.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    fs::write(image.join("thesis"), "precious").unwrap();
    assert_eq!(build("4").unwrap_err().kind(), ErrorKind::Configuration);
    assert!(image.join("thesis").exists());
}

#[test]
fn files_beside_an_image_stay() {
    let outer = tempdir().unwrap();
    let program = outer.path().join("program");
    fs::write(&program, Elf::good().bytes()).unwrap();
    for name in ["image.unfinished", "image.replaced"] {
        fs::create_dir(outer.path().join(name)).unwrap();
        fs::write(outer.path().join(name).join("thesis"), "precious").unwrap();
    }
    for version in ["1", "2"] {
        Image::builder(&program).version(version).write(outer.path().join("image")).unwrap();
    }
    for name in ["image.unfinished", "image.replaced"] {
        assert_eq!(fs::read(outer.path().join(name).join("thesis")).unwrap(), b"precious");
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 4, "no file is left behind");
    // Nor does it write anything through a link.
    fs::create_dir(outer.path().join("elsewhere")).unwrap();
    for name in ["link", "link/"] {
        let _ = symlink(outer.path().join("elsewhere"), outer.path().join("link"));
        let error = Image::builder(&program).write(outer.path().join(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
    }
    assert_eq!(fs::read_dir(outer.path().join("elsewhere")).unwrap().count(), 0);
}
