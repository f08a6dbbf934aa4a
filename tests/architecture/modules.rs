//! Reads the crate's source files with `syn` and finds which file names items of which other file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, UseTree, Visibility};

/// A file of `src`, such as `engine/run.rs`.
pub(crate) type File = String;

/// The import of one file's items by another.
#[derive(Debug, Default)]
pub(crate) struct Import {
    /// The items that the importing file uses in its own code.
    pub(crate) used: BTreeSet<String>,
    /// The items that the importing file re-exports.
    pub(crate) reexported: BTreeSet<String>,
}

/// The imports between the files of a crate.
pub(crate) type Imports = BTreeMap<(File, File), Import>;

/// Reads the crate whose root is `lib.rs` in `src`. Items for tests are left out.
pub(crate) fn read_crate(src: &Path) -> Imports {
    read("lib.rs", &|file| fs::read_to_string(src.join(file)).ok())
}

/// Like [`read_crate`], with the text of each file from `text`.
pub(crate) fn read(root: &str, text: &dyn Fn(&str) -> Option<String>) -> Imports {
    let mut declarations = Declarations { text, modules: BTreeMap::new(), files: Vec::new() };
    declarations.add_file(Vec::new(), root);
    let Declarations { modules, files, .. } = declarations;
    let mut imports = Imports::new();
    for (module, file, syntax) in &files {
        Paths { modules: &modules, file, module: module.clone(), imports: &mut imports }.visit_file(syntax);
    }
    imports
}

/// The path of a module below the crate's root.
type ModulePath = Vec<String>;

/// What a name in a module may refer to.
enum Name {
    /// A type or a trait that this file defines.
    Item(File),
    /// A function, a constant, a static or a macro that this file defines.
    Value(File),
    Module(ModulePath),
    /// A `use` of this path.
    Use(Vec<String>),
}

/// What a path resolves to.
enum Found {
    /// The file that defines an item, and the item's name.
    Item(File, String),
    /// The same for a function, a constant or a macro, which contain no other items.
    Value(File, String),
    Module(ModulePath),
}

#[derive(Default)]
struct Module {
    names: Vec<(String, Name)>,
    globs: Vec<Vec<String>>,
}

type Modules = BTreeMap<ModulePath, Module>;

/// Collects the names that each module declares.
struct Declarations<'a> {
    text: &'a dyn Fn(&str) -> Option<String>,
    modules: Modules,
    files: Vec<(ModulePath, File, syn::File)>,
}

impl Declarations<'_> {
    fn add_file(&mut self, module: ModulePath, file: &str) {
        let text = (self.text)(file).unwrap_or_else(|| panic!("{file} cannot be read"));
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file} cannot be parsed: {error}"));
        self.modules.entry(module.clone()).or_default();
        let mut scope = Scope { declarations: self, module: module.clone(), file: file.to_owned() };
        scope.visit_file(&syntax);
        self.files.push((module, file.to_owned(), syntax));
    }
}

struct Scope<'a, 'b> {
    declarations: &'a mut Declarations<'b>,
    module: ModulePath,
    file: File,
}

impl Scope<'_, '_> {
    fn declare(&mut self, name: String, kind: Name) {
        self.declarations.modules.entry(self.module.clone()).or_default().names.push((name, kind));
    }
}

impl<'ast> Visit<'ast> for Scope<'_, '_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if only_for_tests(attributes(item)) {
            return;
        }
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::TraitAlias(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(name) = name {
            let is_value = matches!(item, Item::Const(_) | Item::Fn(_) | Item::Macro(_) | Item::Static(_));
            let kind = if is_value { Name::Value } else { Name::Item };
            self.declare(name.to_string(), kind(self.file.clone()));
        }
        if let Item::Macro(item) = item
            && item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
            && let Some(name) = name
        {
            let root = self.declarations.modules.entry(Vec::new()).or_default();
            root.names.push((name.to_string(), Name::Value(self.file.clone())));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let child = [self.module.as_slice(), &[item.ident.to_string()]].concat();
        self.declare(item.ident.to_string(), Name::Module(child.clone()));
        if item.content.is_some() {
            self.declarations.modules.entry(child.clone()).or_default();
            let parent = std::mem::replace(&mut self.module, child);
            visit::visit_item_mod(self, item);
            self.module = parent;
        } else {
            let path = child.join("/");
            let file = [format!("{path}.rs"), format!("{path}/mod.rs")]
                .into_iter()
                .find(|file| (self.declarations.text)(file).is_some())
                .unwrap_or_else(|| panic!("the module {path} has no file"));
            self.declarations.add_file(child, &file);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (name, path) in leaves(&item.tree) {
            match name {
                Some(name) => self.declare(name, Name::Use(path)),
                None => self.declarations.modules.entry(self.module.clone()).or_default().globs.push(path),
            }
        }
    }
}

/// Collects the paths that a file names.
struct Paths<'a> {
    modules: &'a Modules,
    file: &'a File,
    module: ModulePath,
    imports: &'a mut Imports,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String], reexported: bool) {
        for found in resolve(self.modules, &self.module, path, &mut Vec::new()) {
            if let Found::Item(target, name) | Found::Value(target, name) = found
                && target != *self.file
            {
                let import = self.imports.entry((self.file.clone(), target)).or_default();
                let names = if reexported { &mut import.reexported } else { &mut import.used };
                names.insert(name);
            }
        }
    }

    /// The paths in the tokens of a macro call. A single lower-case name may be a variable or a keyword.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut next = 0;
        while next < tokens.len() {
            let start = next;
            next += 1;
            match &tokens[start] {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(segment), ..] =
                        &tokens[next..]
                        && a.as_char() == ':'
                        && b.as_char() == ':'
                    {
                        path.push(segment.to_string());
                        next += 3;
                    }
                    // `$crate::…` is an import of the macro's caller; `.name` and `'name` are not paths.
                    let before = start.checked_sub(1).map(|before| &tokens[before]);
                    let part = matches!(before, Some(TokenTree::Punct(p)) if ['$', '.', '\''].contains(&p.as_char()));
                    if !part && (path.len() > 1 || path[0].starts_with(char::is_uppercase)) {
                        self.add(&path, false);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !only_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !only_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for (_, path) in leaves(&item.tree) {
            self.add(&path, !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    // `pub(in crate::engine)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Resolves `path` in `module`; returns nothing for other crates' items. A type and a function may share a name, and so may a
/// module and a function. `open` holds the look-ups under way: `use` declarations may refer to each other in a cycle.
fn resolve(modules: &Modules, module: &[String], path: &[String], open: &mut Vec<(ModulePath, String)>) -> Vec<Found> {
    let mut at = match path.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        _ => module.to_vec(),
    };
    let mut segments = path.iter().skip_while(|segment| ["crate", "self", "super"].contains(&segment.as_str()));
    for _ in path.iter().take_while(|segment| *segment == "super") {
        at.pop();
    }
    let Some(name) = segments.next() else { return vec![Found::Module(at)] };
    let mut found = look_up(modules, &at, name, open);
    for name in segments {
        let inside = |found| match &found {
            Found::Module(module) => look_up(modules, module, name, open),
            // A variant or an associated item counts as its type.
            Found::Item(..) => vec![found],
            Found::Value(..) => Vec::new(),
        };
        found = found.into_iter().flat_map(inside).collect();
    }
    found
}

fn look_up(modules: &Modules, module: &ModulePath, name: &str, open: &mut Vec<(ModulePath, String)>) -> Vec<Found> {
    let key = (module.clone(), name.to_owned());
    let Some(scope) = modules.get(module).filter(|_| !open.contains(&key)) else { return Vec::new() };
    open.push(key);
    let mut found = Vec::new();
    for (_, kind) in scope.names.iter().filter(|(known, _)| known == name) {
        match kind {
            Name::Item(file) => found.push(Found::Item(file.clone(), name.to_owned())),
            Name::Value(file) => found.push(Found::Value(file.clone(), name.to_owned())),
            Name::Module(child) => found.push(Found::Module(child.clone())),
            Name::Use(path) => found.extend(resolve(modules, module, path, open)),
        }
    }
    if found.is_empty() {
        let targets: Vec<Found> = scope.globs.iter().flat_map(|glob| resolve(modules, module, glob, open)).collect();
        for target in targets {
            if let Found::Module(target) = target {
                found.extend(look_up(modules, &target, name, open));
            }
        }
    }
    open.pop();
    found
}

/// The paths of a `use`, each with the name that it introduces; without a name for `*`.
fn leaves(tree: &UseTree) -> Vec<(Option<String>, Vec<String>)> {
    match tree {
        UseTree::Path(path) => {
            let mut below = leaves(&path.tree);
            for (name, segments) in &mut below {
                // `use a::{self}` introduces the name `a`.
                if name.as_deref() == Some("self") {
                    *name = Some(path.ident.to_string());
                    segments.pop();
                }
                segments.insert(0, path.ident.to_string());
            }
            below
        }
        UseTree::Name(name) => vec![(Some(name.ident.to_string()), vec![name.ident.to_string()])],
        UseTree::Rename(rename) => vec![(Some(rename.rename.to_string()), vec![rename.ident.to_string()])],
        UseTree::Glob(_) => vec![(None, Vec::new())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether a `cfg` compiles the item for tests only.
fn only_for_tests(attributes: &[Attribute]) -> bool {
    fn needs_test(condition: &Meta) -> bool {
        match condition {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) if list.path.is_ident("all") => {
                let parse = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
                list.parse_args_with(parse).is_ok_and(|all| all.iter().any(needs_test))
            }
            Meta::List(_) | Meta::NameValue(_) => false,
        }
    }
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|condition| needs_test(&condition))
    })
}
