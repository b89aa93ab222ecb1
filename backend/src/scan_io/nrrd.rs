//! NRRD files (teem's format, that of 3D Slicer), and its segmentations with named segments (`.seg.nrrd`). World is
//! read as ITK reads it: LPS unless the file says otherwise.

use std::io::{self, BufRead, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use shared::geometry::Geometry;
use shared::label::{Label, LabelInfo, LabelSet};
use shared::volume::Volume;

use super::ScanError;
use super::raster::{Layout, NamedSegment, Packing, Said, Skip, TYPES, bad, lines, lps_columns, whole_numbers};

const FORMAT: &str = "NRRD";

/// Names of voxel types that others write, beside those of [`TYPES`].
const OTHER_NAMES: [(i16, &[&str]); 10] = [
    (2, &["uchar", "unsigned char", "uint8_t"]),
    (4, &["short", "short int", "signed short", "signed short int", "int16_t"]),
    (8, &["int", "signed int", "int32_t"]),
    (16, &[]),
    (64, &[]),
    (256, &["signed char", "int8_t"]),
    (512, &["ushort", "unsigned short", "unsigned short int", "uint16_t"]),
    (768, &["uint", "unsigned int", "uint32_t"]),
    (1024, &["longlong", "long long", "long long int", "signed long long", "signed long long int", "int64_t"]),
    (1280, &["ulonglong", "unsigned long long", "unsigned long long int", "uint64_t"]),
];

/// Reads the header; the file then stands behind it.
pub(super) fn layout(file: &mut impl BufRead) -> Result<Layout, ScanError> {
    let lines = lines(file, FORMAT, str::is_empty);
    Fields(lines?).said()?.layout()
}

/// The lines of a header.
struct Fields(Vec<String>);

impl Fields {
    /// What stands behind `name: `.
    fn field(&self, names: &[&str]) -> Option<&str> {
        self.0.iter().skip(1).filter(|line| !line.starts_with('#')).find_map(|line| {
            let (name, value) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
            names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)).then_some(value.trim())
        })
    }

    /// What stands behind `name:=`.
    fn pair(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(":="))
    }

    fn said(&self) -> Result<Said, ScanError> {
        let need = |names: &[&str]| self.field(names).ok_or_else(|| bad(FORMAT, format!("it has no {}", names[0])));
        let sizes = whole_numbers(need(&["sizes"])?).ok_or_else(|| bad(FORMAT, "its sizes are no whole numbers"))?;
        if need(&["dimension"])?.parse() != Ok(sizes.len()) {
            return Err(bad(FORMAT, "its dimension and its sizes contradict each other"));
        }
        let segments = self.segments();
        if sizes.len() == 4 && !segments.is_empty() {
            return Err(bad(
                FORMAT,
                "its segments lie in several layers, since some overlap. Save them as one layer: in 3D Slicer, \
                 Segmentations, Collapse labelmap layers",
            ));
        }
        let kinds = self.field(&["kinds"]).unwrap_or_default().to_lowercase();
        if sizes.len() == 3 && kinds.split_whitespace().any(|kind| !matches!(kind, "domain" | "space" | "none" | "???"))
        {
            return Err(bad(FORMAT, format!("its axes are of the kinds {kinds}, not three of space")));
        }
        let packing = packing(need(&["encoding"])?)?;
        let datatype = datatype(need(&["type"])?)?;
        let skip = self.skip(packing)?;
        let big_endian = match self.field(&["endian"]).map(str::to_lowercase).as_deref() {
            Some("big") => true,
            Some("little") => false,
            None if matches!(datatype, 2 | 256) => false,
            _ => return Err(bad(FORMAT, "it does not say which byte order its voxels have")),
        };
        let detached = self.field(&["data file", "datafile"]).map(str::to_owned);
        if detached.as_ref().is_some_and(|name| name.starts_with("LIST") || name.contains('%')) {
            return Err(bad(FORMAT, "its voxels lie in many files. Save it as one"));
        }
        let columns = if sizes.len() == 3 { self.columns()? } else { [[0.0; 3]; 4] };
        Ok(Said { format: FORMAT, sizes, columns, datatype, big_endian, packing, skip, detached, segments })
    }

    fn skip(&self, packing: Packing) -> Result<Skip, ScanError> {
        if self.field(&["line skip", "lineskip"]).is_some_and(|lines| lines != "0") {
            return Err(bad(FORMAT, "it skips lines before the voxels. Save it again"));
        }
        match self.field(&["byte skip", "byteskip"]).map(str::parse::<i64>) {
            None => Ok(Skip::Bytes(0)),
            Some(Ok(-1)) if packing == Packing::None => Ok(Skip::ToTheEnd),
            Some(Ok(bytes)) if bytes >= 0 => Ok(Skip::Bytes(bytes.cast_unsigned())),
            Some(_) => Err(bad(FORMAT, "the number of bytes that it skips makes no sense")),
        }
    }

    /// World (LPS) from voxel.
    fn columns(&self) -> Result<[[f64; 3]; 4], ScanError> {
        let units = self.field(&["space units"]).unwrap_or_default().to_lowercase();
        let known = |unit: &str| matches!(unit.trim_matches('"'), "" | "mm" | "millimeter" | "millimetre" | "???");
        if let Some(unit) = units.split_whitespace().find(|unit| !known(unit)) {
            return Err(bad(FORMAT, format!("its unit of length is {unit}. Save it in mm")));
        }
        let space = self.field(&["space"]).unwrap_or_default().to_lowercase();
        let signs = match space.as_str() {
            "right-anterior-superior" | "ras" => [-1.0, -1.0, 1.0],
            "left-anterior-superior" | "las" => [1.0, -1.0, 1.0],
            // ITK takes all others for its own.
            "left-posterior-superior" | "lps" | "" | "scanner-xyz" | "3d-right-handed" => [1.0; 3],
            other => return Err(bad(FORMAT, format!("its space is {other:?}, which says not where the patient is"))),
        };
        let turned = |vector: [f64; 3]| std::array::from_fn(|axis| signs[axis] * vector[axis]);
        let no_place = || bad(FORMAT, "its space directions or origin are no vectors of three numbers");
        let Some(directions) = self.field(&["space directions"]) else {
            let spacings =
                self.field(&["spacings"]).map_or(Some([1.0; 3]), super::raster::three).ok_or_else(no_place)?;
            let column = |axis: usize| std::array::from_fn(|row| if row == axis { spacings[axis] } else { 0.0 });
            return Ok([column(0), column(1), column(2), [0.0; 3]]);
        };
        let [x, y, z] = <[[f64; 3]; 3]>::try_from(vectors(directions).ok_or_else(no_place)?).map_err(|_| no_place())?;
        let origin = match self.field(&["space origin"]) {
            None => [0.0; 3],
            Some(origin) => *vectors(origin).ok_or_else(no_place)?.first().ok_or_else(no_place)?,
        };
        Ok([x, y, z, origin].map(turned))
    }

    /// The segments that the file names, as 3D Slicer writes them.
    fn segments(&self) -> Vec<NamedSegment> {
        let segment = |at: usize| {
            let name = self.pair(&format!("Segment{at}_Name"))?.to_owned();
            Some(NamedSegment { value: self.pair(&format!("Segment{at}_LabelValue"))?.trim().parse().ok()?, name })
        };
        (0..).map_while(segment).collect()
    }
}

fn packing(encoding: &str) -> Result<Packing, ScanError> {
    match encoding.to_lowercase().as_str() {
        "raw" => Ok(Packing::None),
        "gzip" | "gz" => Ok(Packing::Gzip),
        other => Err(bad(FORMAT, format!("its voxels are encoded as {other:?}; save it as raw or gzip"))),
    }
}

fn datatype(name: &str) -> Result<i16, ScanError> {
    let name = name.to_lowercase();
    let own = TYPES.iter().find(|(_, own, _)| *own == name).map(|(code, ..)| *code);
    let other = OTHER_NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(code, _)| *code);
    own.or(other).ok_or_else(|| bad(FORMAT, format!("its voxels are {name:?}, no numbers that can be read")))
}

/// `(1,0,0) (0,1,0)` as vectors.
fn vectors(text: &str) -> Option<Vec<[f64; 3]>> {
    let mut vectors = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (inside, behind) = rest.strip_prefix('(')?.split_once(')')?;
        let numbers = inside.split(',').map(|word| word.trim().parse().ok().filter(|v: &f64| v.is_finite()));
        vectors.push(<[f64; 3]>::try_from(numbers.collect::<Option<Vec<f64>>>()?).ok()?);
        rest = behind.trim_start();
    }
    Some(vectors)
}

/// What is to be written in front of voxels: type by NIfTI's code, then the file's own words.
pub(super) struct Written<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) datatype: i16,
    pub(super) packed: bool,
    /// Lines `name:=value`.
    pub(super) pairs: &'a [String],
}

/// Writes a file: header, an empty line, voxels (little-endian, x fastest).
pub(super) fn write(file: &mut impl Write, header: &Written<'_>, voxels: &[u8]) -> io::Result<()> {
    let vector = |[x, y, z]: [f64; 3]| format!("({x},{y},{z})");
    let [x, y, z, origin] = lps_columns(header.geometry).map(vector);
    let [nx, ny, nz] = header.geometry.dims;
    let kind = TYPES.iter().find(|(code, ..)| *code == header.datatype).map_or("uint8", |(_, name, _)| name);
    let encoding = if header.packed { "gzip" } else { "raw" };
    writeln!(file, "NRRD0004\n# Complete NRRD file format specification at:")?;
    writeln!(file, "# http://teem.sourceforge.net/nrrd/format.html\ntype: {kind}\ndimension: 3")?;
    writeln!(file, "space: left-posterior-superior\nsizes: {nx} {ny} {nz}\nspace directions: {x} {y} {z}")?;
    writeln!(file, "kinds: domain domain domain\nendian: little\nencoding: {encoding}\nspace origin: {origin}")?;
    for pair in header.pairs {
        writeln!(file, "{pair}")?;
    }
    writeln!(file)?;
    if !header.packed {
        return file.write_all(voxels);
    }
    let mut packed = GzEncoder::new(file, Compression::fast());
    packed.write_all(voxels)?;
    packed.finish().map(drop)
}

/// Names, colours, codes and extents of a task's labels, as 3D Slicer reads them from a `.seg.nrrd`. Labels that no
/// voxel has are segments all the same.
pub(super) fn segment_pairs(labels: &Volume<Label>, names: &LabelSet) -> Vec<String> {
    let boxes = boxes(labels);
    let mut pairs = vec![
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|".to_owned(),
        "Segmentation_MasterRepresentation:=Binary labelmap".to_owned(),
        "Segmentation_ReferenceImageExtentOffset:=0 0 0".to_owned(),
    ];
    for (at, label) in names.0.iter().enumerate() {
        let extent = boxes[usize::from(label.value)]
            .map_or([0, -1, 0, -1, 0, -1], |[low, high]| std::array::from_fn(|at| [low, high][at % 2][at / 2] as i64));
        let colour = label.rgb().map(|channel| (f64::from(channel) / 255.0).to_string()).join(" ");
        // A line's end would end the field.
        let name: String = label.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for (field, value) in [
            ("ID", format!("Segment_{}", label.value)),
            ("Name", name),
            ("NameAutoGenerated", "0".to_owned()),
            ("Color", colour),
            ("ColorAutoGenerated", "0".to_owned()),
            ("LabelValue", label.value.to_string()),
            ("Layer", "0".to_owned()),
            ("Extent", extent.map(|n| n.to_string()).join(" ")),
            ("Tags", terminology(label)),
        ] {
            pairs.push(format!("Segment{at}_{field}:={value}"));
        }
    }
    pairs
}

/// A segment's codes as Slicer has them in one line: context, category, type, modifier, and an anatomic region of which
/// nothing is said.
fn terminology(label: &LabelInfo) -> String {
    let Some(code) = &label.code else { return String::new() };
    let category = code.category();
    let one = |code: &shared::label::Code| format!("{}^{}^{}", code.scheme, code.value, code.meaning);
    let modifier = code.modifier.as_ref().map_or("^^".to_owned(), one);
    let (category, what) = (one(&category), one(&code.kind));
    format!(
        "TerminologyEntry:Segmentation category and type - DICOM master list~{category}~{what}~{modifier}~Anatomic \
         codes - DICOM master list~^^~^^|"
    )
}

/// The first and the last voxel of each label along every axis.
fn boxes(labels: &Volume<Label>) -> Vec<Option<[[usize; 3]; 2]>> {
    let dims = labels.geometry().dims;
    let mut boxes: Vec<Option<[[usize; 3]; 2]>> = vec![None; 256];
    for (at, label) in labels.voxels().iter().enumerate().filter(|(_, label)| **label != 0) {
        let voxel = Geometry::voxel_at(at, dims);
        let [low, high] = boxes[usize::from(*label)].get_or_insert([voxel; 2]);
        for axis in 0..3 {
            low[axis] = low[axis].min(voxel[axis]);
            high[axis] = high[axis].max(voxel[axis]);
        }
    }
    boxes
}
