//! Checks that a program can run in an image without libraries.

use std::fs::File;
use std::io::Seek;
use std::path::Path;

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadCache};

use crate::{Error, Result};

/// The target on Linux x86-64. Snowflake runs only linux/amd64.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The target on other machines: musl links statically by default.
const CROSS_TARGET: &str = "x86_64-unknown-linux-musl";

/// The command that builds `program` for an image on Linux x86-64. A program in a folder `examples` is an example of its package, any
/// other a binary. Features are not included.
///
/// ```
/// use snowfeed::native_app::image::build_command;
///
/// assert_eq!(
///     build_command("target/debug/examples/github_issues"),
///     "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --target x86_64-unknown-linux-gnu \
///      --example github_issues",
/// );
/// ```
pub fn build_command(program: impl AsRef<Path>) -> String {
    format!(
        "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --target {TARGET} {}",
        cargo_target(program.as_ref())
    )
}

/// The command for macOS, Windows and ARM machines. It needs `cargo-zigbuild` (`pip install cargo-zigbuild` also installs its C
/// compiler) and `rustup target add x86_64-unknown-linux-musl`.
///
/// ```
/// use snowfeed::native_app::image::cross_build_command;
///
/// assert_eq!(
///     cross_build_command("target/debug/examples/github_issues"),
///     "cargo zigbuild --release --target x86_64-unknown-linux-musl --example github_issues",
/// );
/// ```
pub fn cross_build_command(program: impl AsRef<Path>) -> String {
    format!("cargo zigbuild --release --target {CROSS_TARGET} {}", cargo_target(program.as_ref()))
}

fn cargo_target(program: &Path) -> String {
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    let is_example = program.parent().is_some_and(|folder| folder.ends_with("examples"));
    format!("--{} {name}", if is_example { "example" } else { "bin" })
}

/// Why a program cannot run in the image, and whether it was built for another platform.
struct Incompatibility {
    why: &'static str,
    is_foreign: bool,
}

impl Incompatibility {
    fn here(why: &'static str) -> Self {
        Self { why, is_foreign: !cfg!(all(target_os = "linux", target_arch = "x86_64")) }
    }

    fn foreign(why: &'static str) -> Self {
        Self { why, is_foreign: true }
    }
}

/// Opens a program and checks that it is a static executable for Linux x86-64.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration), with the command that builds the right one.
pub(super) fn open_program(program: &Path) -> Result<File> {
    let wrong = |unfit: Incompatibility| {
        let (command, first) = match unfit.is_foreign {
            true => (
                cross_build_command(program),
                format!(" (first `pip install cargo-zigbuild` and `rustup target add {CROSS_TARGET}`)"),
            ),
            false => (build_command(program), String::new()),
        };
        Error::configuration(format!("the program {} {}", program.display(), unfit.why))
            .with_help(format!("build it with `{command}` and the same features{first}"))
    };
    let unread = |error| wrong(Incompatibility::here("cannot be read")).with_source(error);
    let file = File::open(program).map_err(unread)?;
    // A folder can be opened too.
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(wrong(Incompatibility::here("is not a file")));
    }
    let data = ReadCache::new(file);
    incompatibility(&data).map_or(Ok(()), |unfit| Err(wrong(unfit)))?;
    let mut file = data.into_inner();
    file.rewind().map_err(unread)?;
    Ok(file)
}

/// Why the program cannot run in the image, if it cannot.
fn incompatibility(data: &ReadCache<File>) -> Option<Incompatibility> {
    let damaged = || Some(Incompatibility::here("is a damaged ELF file"));
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => return Some(Incompatibility::foreign("is a 32-bit program, not one for x86-64")),
        Ok(FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64) => {
            return Some(Incompatibility::foreign("was built for macOS"));
        }
        Ok(FileKind::Pe32 | FileKind::Pe64) => return Some(Incompatibility::foreign("was built for Windows")),
        _ => return Some(Incompatibility::here("is not an ELF file, so it was not built for Linux")),
    }
    let Ok(header) = FileHeader64::<Endianness>::parse(data) else { return damaged() };
    let Ok(endian) = header.endian() else { return damaged() };
    match header.e_machine(endian) {
        elf::EM_X86_64 => {}
        elf::EM_AARCH64 => return Some(Incompatibility::foreign("was built for ARM (AArch64), not for x86-64")),
        _ => return Some(Incompatibility::foreign("was built for a processor other than x86-64")),
    }
    // Toolchains for Linux leave this field 0.
    if ![elf::ELFOSABI_SYSV, elf::ELFOSABI_GNU].contains(&header.e_ident().os_abi) {
        return Some(Incompatibility::foreign("was built for an operating system other than Linux"));
    }
    if ![elf::ET_EXEC, elf::ET_DYN].contains(&header.e_type(endian)) {
        return Some(Incompatibility::here("is an object file, not a program"));
    }
    let Ok(segments) = header.program_headers(endian, data) else { return damaged() };
    for segment in segments {
        // A program that is static and position-independent has a dynamic segment, too, but asks for no library in it.
        if segment.p_type(endian) == elf::PT_INTERP {
            return Some(Incompatibility::here("is dynamically linked"));
        }
        let Ok(dynamic) = segment.dynamic(endian, data) else { return damaged() };
        let entries = dynamic.unwrap_or_default().iter().take_while(|entry| entry.d_tag(endian) != elf::DT_NULL);
        if entries.into_iter().any(|entry| entry.d_tag(endian) == elf::DT_NEEDED) {
            return Some(Incompatibility::here("is dynamically linked"));
        }
    }
    None
}
