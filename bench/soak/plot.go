package main

import (
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Colours that can be told apart by those who do not see red and green.
var (
	blue   = color.RGBA{0, 114, 178, 255}
	orange = color.RGBA{213, 94, 0, 255}
	green  = color.RGBA{0, 158, 115, 255}
	purple = color.RGBA{204, 121, 167, 255}
	dark   = color.Gray{60}
)

// curve is a line of a panel.
type curve struct {
	name  string
	color color.Color
	of    func(*sample) float64 // negative when there is no value
}

// panel is one of the diagrams of the plot.
type panel struct {
	title, axis string
	curves      []curve
	trend       string // the quantity whose line is drawn
	log         bool   // times from a tenth of a millisecond up, on a scale of powers
}

var panels = []panel{
	{"Heap after a collection", "MiB", []curve{{"", blue, func(s *sample) float64 { return s.heap }}}, "heap after a collection", false},
	{"Resident memory", "MiB", []curve{{"", blue, func(s *sample) float64 { return s.resident }}}, "resident memory", false},
	{"Goroutines and requests", "", []curve{
		{"goroutines", blue, func(s *sample) float64 { return s.goroutines }},
		{"open requests", orange, func(s *sample) float64 { return s.open }},
	}, "goroutines", false},
	{"Descriptors", "", []curve{{"", blue, func(s *sample) float64 { return s.files }}}, "descriptors", false},
	{"Time to the first event", "ms", []curve{
		{"through the proxy, p99", orange, func(s *sample) float64 { return s.p99[wayThrough] }},
		{"directly, p99", purple, func(s *sample) float64 { return s.p99[wayDirect] }},
		{"through the proxy, p50", blue, func(s *sample) float64 { return s.p50[wayThrough] }},
		{"directly, p50", green, func(s *sample) float64 { return s.p50[wayDirect] }},
	}, "", true},
	{"Processor time of the proxy for an arrival", "ms", []curve{{"", blue, func(s *sample) float64 { return s.perArrival }}}, "processor time of an arrival", false},
}

// writePlot draws the panels, two in a row, into a PNG file. Straight lines are
// the trends that the verdict is about.
func writePlot(name string, samples []*sample, growths []growth, warmup float64) error {
	if len(samples) == 0 {
		return nil
	}
	const columns = 2
	rows := len(panels) / columns
	grid := make([][]*plot.Plot, rows)
	for i := range panels {
		p, err := panels[i].draw(samples, growths, warmup)
		if err != nil {
			return err
		}
		grid[i/columns] = append(grid[i/columns], p)
	}
	img := vgimg.NewWith(vgimg.UseWH(13*vg.Inch, vg.Length(rows)*2.7*vg.Inch), vgimg.UseDPI(80))
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 20, PadY: 14, PadTop: 10, PadBottom: 10, PadLeft: 10, PadRight: 14}
	for i, row := range plot.Align(grid, tiles, draw.New(img)) {
		for j, canvas := range row {
			grid[i][j].Draw(canvas)
		}
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

// lowest is where a scale of powers begins.
const lowest = 0.1

// scale sets the axes, with room for the legend.
func (p *panel) scale(out *plot.Plot, highest float64) {
	out.X.Min = 0
	out.Legend.Padding = vg.Points(3)
	switch {
	case p.log:
		out.Y.Min, out.Y.Max = lowest, max(highest, 1)*1000
		out.Y.Scale = plot.LogScale{}
		out.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	case len(p.curves) > 1:
		out.Y.Max = highest * 1.4
	default:
		out.Y.Max = highest * 1.1
	}
	if !p.log {
		out.Y.Min = 0
	}
}

// draw makes the panel's diagram.
func (p *panel) draw(samples []*sample, growths []growth, warmup float64) (*plot.Plot, error) {
	out := plot.New()
	out.Title.Text, out.Y.Label.Text, out.X.Label.Text = p.title, p.axis, "minutes"
	out.Add(plotter.NewGrid())
	out.Legend.Top = true
	highest := 1e-9
	for _, c := range p.curves {
		var points plotter.XYs
		for _, s := range samples {
			if v := c.of(s); v >= 0 {
				if p.log {
					v = max(v, lowest)
				}
				points = append(points, plotter.XY{X: s.seconds / 60, Y: v})
				highest = max(highest, v)
			}
		}
		if points == nil {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = c.color, vg.Points(1.1)
		out.Add(line)
		if c.name != "" {
			out.Legend.Add(c.name, line)
		}
	}
	for i := range growths {
		if g := &growths[i]; g.enough && g.name == p.trend {
			from, to := warmup, samples[len(samples)-1].seconds
			line, err := plotter.NewLine(plotter.XYs{{X: from / 60, Y: g.at + g.slope*from}, {X: to / 60, Y: g.at + g.slope*to}})
			if err != nil {
				return nil, err
			}
			line.Color, line.Width, line.Dashes = dark, vg.Points(1.5), []vg.Length{vg.Points(5), vg.Points(3)}
			out.Add(line)
		}
	}
	p.scale(out, highest)
	return out, nil
}
