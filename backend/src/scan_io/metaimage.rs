//! MetaImage files (ITK's format): `.mha`, or `.mhd` with its voxels beside it.

use std::io::{self, BufRead, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use shared::geometry::Geometry;

use super::ScanError;
use super::raster::{Layout, Packing, Said, Skip, TYPES, bad, lines, lps_columns, numbers, three, whole_numbers};

const FORMAT: &str = "MetaImage";
/// The field behind which voxels begin.
const LAST: &str = "ElementDataFile";
/// The word for voxels that follow the header.
const LOCAL: &str = "LOCAL";

/// Reads the header; the file then stands behind it.
pub(super) fn layout(file: &mut impl BufRead) -> Result<Layout, ScanError> {
    let lines = lines(file, FORMAT, |line| field_of(line).is_some_and(|(name, _)| name.eq_ignore_ascii_case(LAST)))?;
    Fields(lines).said()?.layout()
}

fn field_of(line: &str) -> Option<(&str, &str)> {
    line.split_once('=').map(|(name, value)| (name.trim(), value.trim()))
}

struct Fields(Vec<String>);

impl Fields {
    fn field(&self, names: &[&str]) -> Option<&str> {
        let named = |line| field_of(line).filter(|(name, _)| names.iter().any(|n| name.eq_ignore_ascii_case(n)));
        self.0.iter().find_map(|line| named(line)).map(|(_, value)| value)
    }

    fn is_true(&self, names: &[&str]) -> bool {
        self.field(names).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn said(&self) -> Result<Said, ScanError> {
        let need = |names: &[&str]| self.field(names).ok_or_else(|| bad(FORMAT, format!("it has no {}", names[0])));
        if let Some(other) = self.field(&["ObjectType"]).filter(|what| !what.eq_ignore_ascii_case("image")) {
            return Err(bad(FORMAT, format!("it describes {other:?} and no image")));
        }
        if self.field(&["BinaryData"]).is_some() && !self.is_true(&["BinaryData"]) {
            return Err(bad(FORMAT, "its voxels are text. Save it as binary"));
        }
        if self.field(&["ElementNumberOfChannels"]).is_some_and(|channels| channels != "1") {
            return Err(bad(FORMAT, "its voxels are vectors or colours, no intensities"));
        }
        let scaled = |name: &str, none: f64| {
            self.field(&[name]).is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value != none))
        };
        if scaled("ElementToIntensityFunctionSlope", 1.0) || scaled("ElementToIntensityFunctionOffset", 0.0) {
            return Err(bad(
                FORMAT,
                "it scales its voxels, which other programs ignore. Save the intensities themselves",
            ));
        }
        let sizes = whole_numbers(need(&["DimSize"])?).ok_or_else(|| bad(FORMAT, "its DimSize is no whole numbers"))?;
        if need(&["NDims"])?.parse() != Ok(sizes.len()) {
            return Err(bad(FORMAT, "its NDims and its DimSize contradict each other"));
        }
        let packing = if self.is_true(&["CompressedData"]) { Packing::Zlib } else { Packing::None };
        let skip = match self.field(&["HeaderSize"]).map(str::parse::<i64>) {
            None => Skip::Bytes(0),
            Some(Ok(-1)) if packing == Packing::None => Skip::ToTheEnd,
            Some(Ok(bytes)) if bytes >= 0 => Skip::Bytes(bytes.cast_unsigned()),
            Some(_) => return Err(bad(FORMAT, "its HeaderSize makes no sense")),
        };
        let file = need(&[LAST])?;
        if file.starts_with("LIST") || file.contains('%') {
            return Err(bad(FORMAT, "its voxels lie in many files. Save it as one"));
        }
        Ok(Said {
            format: FORMAT,
            columns: if sizes.len() == 3 { self.columns()? } else { [[0.0; 3]; 4] },
            sizes,
            datatype: datatype(need(&["ElementType"])?)?,
            big_endian: self.is_true(&["BinaryDataByteOrderMSB", "ElementByteOrderMSB"]),
            packing,
            skip,
            detached: (!file.eq_ignore_ascii_case(LOCAL)).then(|| file.to_owned()),
            segments: Vec::new(),
        })
    }

    /// World (LPS) from voxel. The matrix holds a row for each axis of the image: where it runs to.
    fn columns(&self) -> Result<[[f64; 3]; 4], ScanError> {
        let no_place = || bad(FORMAT, "its spacing, offset or directions are no numbers, or too few");
        if let Some(unit) = self.field(&["DistanceUnits"]).filter(|unit| !matches!(*unit, "mm" | "MM" | "?" | "")) {
            return Err(bad(FORMAT, format!("its unit of length is {unit}. Save it in mm")));
        }
        let vector = |names: &[&str], none: [f64; 3]| match self.field(names) {
            None => Ok(none),
            Some(text) => three(text).ok_or_else(no_place),
        };
        let spacing = vector(&["ElementSpacing", "ElementSize"], [1.0; 3])?;
        let origin = vector(&["Offset", "Position", "Origin"], [0.0; 3])?;
        let matrix = match self.field(&["TransformMatrix", "Rotation", "Orientation"]) {
            None => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            Some(text) => <[f64; 9]>::try_from(numbers(text).ok_or_else(no_place)?).map_err(|_| no_place())?,
        };
        let column = |axis: usize| std::array::from_fn(|row| matrix[3 * axis + row] * spacing[axis]);
        Ok([column(0), column(1), column(2), origin])
    }
}

fn datatype(name: &str) -> Result<i16, ScanError> {
    // As long as C's was where the format was made.
    let name = match name {
        "MET_LONG" => "MET_INT",
        "MET_ULONG" => "MET_UINT",
        other => other,
    };
    let known = TYPES.iter().find(|(.., own)| own.eq_ignore_ascii_case(name)).map(|(code, ..)| *code);
    known.ok_or_else(|| bad(FORMAT, format!("its voxels are {name:?}, no numbers that can be read")))
}

/// Writes a file: header, then packed voxels (little-endian, x fastest).
pub(super) fn write(file: &mut impl Write, geometry: &Geometry, datatype: i16, voxels: &[u8]) -> io::Result<()> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(voxels)?;
    let packed = packed.finish()?;
    let words = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let [x, y, z, origin] = lps_columns(geometry);
    let spacing = [x, y, z].map(|column| column.iter().map(|v| v * v).sum::<f64>().sqrt());
    let matrix: Vec<f64> = [x, y, z].iter().zip(spacing).flat_map(|(column, size)| column.map(|v| v / size)).collect();
    let kind = TYPES.iter().find(|(code, ..)| *code == datatype).map_or("MET_UCHAR", |(.., name)| name);
    let [nx, ny, nz] = geometry.dims;
    writeln!(file, "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False")?;
    writeln!(file, "CompressedData = True\nCompressedDataSize = {}", packed.len())?;
    writeln!(file, "TransformMatrix = {}\nOffset = {}\nCenterOfRotation = 0 0 0", words(&matrix), words(&origin))?;
    writeln!(file, "ElementSpacing = {}\nDimSize = {nx} {ny} {nz}", words(&spacing))?;
    writeln!(file, "ElementType = {kind}\n{LAST} = {LOCAL}")?;
    file.write_all(&packed)
}
