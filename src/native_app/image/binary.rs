//! Whether a program can run in an image that holds nothing but it.

use std::fs::File;
use std::io::Seek;
use std::path::Path;

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache};

use crate::{Error, Result};

/// What cargo builds for; Snowflake runs linux/amd64 only.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The command that builds `program`, by the last parts of its path, as an image needs it: a program in a folder `examples` is an
/// example of its package, any other a binary. Features are the package's own affair and left out.
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
    let program = program.as_ref();
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    let is_example = program.parent().is_some_and(|folder| folder.ends_with("examples"));
    let kind = if is_example { "example" } else { "bin" };
    format!("RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --target {TARGET} --{kind} {name}")
}

/// Opens a program at its beginning, and sees that it is one for Linux on x86-64 that needs no library.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration), with the command that builds the right one.
pub(super) fn open(program: &Path) -> Result<File> {
    let wrong = |why: &str| {
        Error::configuration(format!("the program {} {why}", program.display()))
            .with_help(format!("build it with `{}` and the same features", build_command(program)))
    };
    let file = File::open(program).map_err(|error| wrong("cannot be read").with_source(error))?;
    // A folder can be opened, too.
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(wrong("is no file"));
    }
    let data = ReadCache::new(file);
    unfit(&data).map_or(Ok(()), |why| Err(wrong(why)))?;
    let mut file = data.into_inner();
    file.rewind().map_err(|error| wrong("cannot be read").with_source(error))?;
    Ok(file)
}

/// Why the program cannot run in the image, if it cannot.
fn unfit(data: &ReadCache<File>) -> Option<&'static str> {
    const BROKEN: &str = "is a damaged ELF file";
    let Ok(magic) = object::ReadRef::read_bytes_at(data, 0, 5) else { return Some("is no ELF file") };
    if !magic.starts_with(&elf::ELFMAG) {
        return Some("is no ELF file, so it was not built for Linux");
    }
    if magic[4] != elf::ELFCLASS64.0 {
        return Some("is a 32-bit program, not one for x86-64");
    }
    let Ok(header) = FileHeader64::<Endianness>::parse(data) else { return Some(BROKEN) };
    let Ok(endian) = header.endian() else { return Some(BROKEN) };
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Some("was built for another processor than x86-64");
    }
    // The system's own toolchains leave the field 0.
    if ![elf::ELFOSABI_SYSV, elf::ELFOSABI_GNU].contains(&header.e_ident().os_abi) {
        return Some("was built for another system than Linux");
    }
    if ![elf::ET_EXEC, elf::ET_DYN].contains(&header.e_type(endian)) {
        return Some("is no program, but a part of one");
    }
    let Ok(segments) = header.program_headers(endian, data) else { return Some(BROKEN) };
    for segment in segments {
        // A program that is static and position-independent has a dynamic segment, too, but asks for no library in it.
        if segment.p_type(endian) == elf::PT_INTERP {
            return Some("is dynamically linked");
        }
        let Ok(dynamic) = segment.dynamic(endian, data) else { return Some(BROKEN) };
        let entries = dynamic.unwrap_or_default().iter().take_while(|entry| entry.d_tag(endian) != elf::DT_NULL);
        if entries.into_iter().any(|entry| entry.d_tag(endian) == elf::DT_NEEDED) {
            return Some("is dynamically linked");
        }
    }
    None
}
