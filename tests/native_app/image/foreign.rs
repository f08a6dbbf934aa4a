//! Programs of other systems, with the headers that their own tools write.

use object::read::FileKind;
use object::write::{Object, pe};
use object::{Architecture, BinaryFormat, Endianness, pe as constants};
use snowfeed::ErrorKind;

use super::ImageFolder;
use super::elf::Elf;

/// The first bytes that a compiler for macOS writes.
fn mach_o(architecture: Architecture) -> Vec<u8> {
    Object::new(BinaryFormat::MachO, architecture, Endianness::Little).write().unwrap()
}

fn windows() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = pe::Writer::new(true, 4096, 512, &mut bytes);
    writer.reserve_dos_header_and_stub();
    writer.reserve_nt_headers(16);
    writer.reserve_section_headers(0);
    writer.write_dos_header_and_stub().unwrap();
    writer.write_nt_headers(pe::NtHeaders {
        machine: constants::IMAGE_FILE_MACHINE_AMD64,
        time_date_stamp: 0,
        characteristics: constants::IMAGE_FILE_EXECUTABLE_IMAGE,
        major_linker_version: 14,
        minor_linker_version: 0,
        address_of_entry_point: 0,
        image_base: 0x1_4000_0000,
        major_operating_system_version: 6,
        minor_operating_system_version: 0,
        major_image_version: 0,
        minor_image_version: 0,
        major_subsystem_version: 6,
        minor_subsystem_version: 0,
        subsystem: constants::IMAGE_SUBSYSTEM_WINDOWS_CUI,
        dll_characteristics: constants::IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
        size_of_stack_reserve: 0x10_0000,
        size_of_stack_commit: 0x1000,
        size_of_heap_reserve: 0x10_0000,
        size_of_heap_commit: 0x1000,
    });
    writer.write_section_headers();
    bytes
}

#[test]
fn a_foreign_program_is_rejected_with_a_cross_build_command() {
    let images = ImageFolder::new();
    for (bytes, kind, why) in [
        (mach_o(Architecture::Aarch64), FileKind::MachO64, "was built for macOS"),
        (mach_o(Architecture::X86_64), FileKind::MachO64, "was built for macOS"),
        (windows(), FileKind::Pe64, "was built for Windows"),
        (Elf::good().machine(183).bytes(), FileKind::Elf64, "was built for ARM (AArch64), not for x86-64"),
    ] {
        assert_eq!(FileKind::parse(bytes.as_slice()).unwrap(), kind);
        let error = images.refusal(&bytes);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.message().ends_with(why), "{error}");
        let help = error.help().unwrap();
        for part in [
            "`cargo zigbuild --release --target x86_64-unknown-linux-musl --bin refused`",
            "pip install cargo-zigbuild",
            "rustup target add x86_64-unknown-linux-musl",
        ] {
            assert!(help.contains(part), "{help}");
        }
        assert!(!error.message().contains('\n') && !help.contains('\n'), "one line each");
    }
}
