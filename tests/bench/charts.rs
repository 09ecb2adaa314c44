//! Curves as SVG.

use crate::curves::{Curve, Line};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, Cross, DrawingArea, DrawingAreaErrorKind,
    IntoDrawingArea as _, IntoFont as _, IntoLogRange as _, LineSeries, PathElement, RGBColor,
    SVGBackend, SeriesLabelPosition, TriangleMarker,
};
use std::path::Path;

const SIZE: (u32, u32) = (760, 420);
/// Blue, orange, green, purple, grey: told apart with any sight. Markers differ too.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 90, 181),
    RGBColor(200, 80, 0),
    RGBColor(0, 120, 90),
    RGBColor(130, 60, 150),
    RGBColor(90, 90, 90),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Result<T> = std::result::Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// Draws a curve into `FOLDER/FILE.svg`; says what is wrong when it can't.
pub(crate) fn draw(curve: &Curve, folder: &Path) -> std::result::Result<(), String> {
    let path = folder.join(format!("{}.svg", curve.file));
    paint(curve, &path).map_err(|error| format!("{}: {error}", path.display()))
}

fn paint(curve: &Curve, path: &Path) -> Result<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&RGBColor(255, 255, 255))?;
    let (x, y) = bounds(&curve.lines);
    if x.1 / x.0 > 20.0 {
        axes(curve, &area, (x.0..x.1).log_scale(), y)?;
    } else {
        axes(curve, &area, x.0..x.1, y)?;
    }
    area.present()
}

/// The smallest and largest x; y from 0, or below where a point is, to above the largest by
/// what the list of lines needs.
fn bounds(lines: &[Line]) -> ((f64, f64), (f64, f64)) {
    let points = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .filter(|(_, y)| y.is_finite())
    };
    let first = points().next().map_or(1.0, |(x, _)| *x);
    let x = points().fold((first, first), |(low, high), (x, _)| {
        (low.min(*x), high.max(*x))
    });
    let y = points().fold((0.0_f64, 0.0_f64), |(low, high), (_, y)| {
        (low.min(*y), high.max(*y))
    });
    let headroom = 0.08 + 0.06 * lines.len() as f64;
    let widen = |low: f64, high: f64| if high > low { high } else { low + 1.0 };
    (
        (x.0, widen(x.0, x.1)),
        (y.0, widen(y.0, y.1 + (y.1 - y.0) * headroom)),
    )
}

fn axes<X>(curve: &Curve, area: &Area, x: X, y: (f64, f64)) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(&curve.title, ("sans-serif", 18).into_font())
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y.0..y.1)?;
    chart
        .configure_mesh()
        .x_desc(&curve.x)
        .y_desc(&curve.y)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .light_line_style(RGBColor(245, 245, 245))
        .draw()?;
    for (index, line) in curve.lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<(f64, f64)> = line
            .points
            .iter()
            .copied()
            .filter(|(_, y)| y.is_finite())
            .collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2))
            });
        match index % 3 {
            0 => chart.draw_series(points.iter().map(|at| Circle::new(*at, 4, colour.filled())))?,
            1 => chart.draw_series(
                points
                    .iter()
                    .map(|at| TriangleMarker::new(*at, 6, colour.filled())),
            )?,
            _ => chart.draw_series(
                points
                    .iter()
                    .map(|at| Cross::new(*at, 4, colour.stroke_width(2))),
            )?,
        };
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(RGBColor(255, 255, 255).mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()
}

/// A number for an axis: 1500000 is 1.5M.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{bounds, draw, short};
    use crate::curves::{Curve, Line};

    #[test]
    fn numbers_on_axes_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (2.5, "2.5"),
            (1000.0, "1000"),
            (50_000.0, "50k"),
            (1_500_000.0, "1.5M"),
            (-3.0, "-3"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn a_curve_becomes_a_drawing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut curve = Curve {
            file: "curve",
            title: "Cost".to_owned(),
            x: "load".to_owned(),
            y: "ns".to_owned(),
            lines: vec![Line {
                name: "procmon".to_owned(),
                points: vec![(1.0, 5.0), (1000.0, f64::NAN), (2000.0, 7.0)],
            }],
        };
        assert_eq!(bounds(&curve.lines).0, (1.0, 2000.0));
        draw(&curve, folder.path()).expect("it is drawn");
        let text = std::fs::read_to_string(folder.path().join("curve.svg")).expect("a file");
        assert!(
            text.contains("procmon") && text.contains("</svg>"),
            "{text}"
        );
        curve.lines.clear();
        draw(&curve, folder.path()).expect("nothing can be drawn too");
    }
}
