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

// palette has a colour for each contender, ours first; they can be told apart
// by those who do not see red and green.
var palette = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{230, 159, 0, 255}, color.RGBA{86, 180, 233, 255},
	color.RGBA{0, 158, 115, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{204, 121, 167, 255},
}

// panel is one of the diagrams of the plot.
type panel struct {
	title, axis string
	workloads   []string
	labels      []string
	values      func(workload, contender string) []float64
}

// panels are the diagrams of the plot.
func (r results) panels() []panel {
	streams := []string{"200", "1000", "200-tls", "1000-tls"}
	streamLabels := []string{"200 streams", "1000 streams", "200, TLS", "1000, TLS"}
	plain := func(f figure) func(string, string) []float64 {
		return func(w, c string) []float64 { return r.values(w, c, f) }
	}
	return []panel{
		{"Processor time of an event (less is better)", "µs", streams, streamLabels, plain(cpuPerEvent)},
		{"Latency added to an event, median (less is better)", "µs", streams, streamLabels,
			func(w, c string) []float64 { return r.paired(w, c, directName, p50, less) }},
		{"Saturated: processor time of an event (less is better)", "µs", []string{"saturate", "saturate-tls"},
			[]string{"plain", "TLS"}, plain(cpuPerEvent)},
		{"Latency added to an event, 99th percentile (less is better)", "µs", streams, streamLabels,
			func(w, c string) []float64 { return r.paired(w, c, directName, p99, less) }},
		{"Short requests (more is better)", "thousands a second", []string{"short"}, []string{"32 connections"},
			func(w, c string) []float64 {
				return r.paired(w, c, c, requestRate, func(v, _ float64) float64 { return v / 1000 })
			}},
		{"Memory of an idle stream (less is better)", "KiB", []string{"idle"}, []string{"streams that wait"}, plain(memory)},
	}
}

// drawn are the panels without the workloads that were not measured.
func (r results) drawn() []panel {
	var all []panel
	for _, p := range r.panels() {
		full := p
		p.workloads, p.labels = nil, nil
		for i, w := range full.workloads {
			if r[w] != nil {
				p.workloads, p.labels = append(p.workloads, w), append(p.labels, full.labels[i])
			}
		}
		if len(p.workloads) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// writePlot draws the panels, two in a row, into a PNG file. Bars are medians,
// whiskers the least and the greatest.
func (r results) writePlot(name string, contenders []string) error {
	const columns = 2
	panels := r.drawn()
	if len(panels) == 0 {
		return nil
	}
	rows := (len(panels) + columns - 1) / columns
	grid := make([][]*plot.Plot, rows)
	for i := range panels {
		p, err := panels[i].draw(contenders, i == 0)
		if err != nil {
			return err
		}
		grid[i/columns] = append(grid[i/columns], p)
	}
	for len(grid[rows-1]) < columns {
		grid[rows-1] = append(grid[rows-1], nil)
	}
	img := vgimg.NewWith(vgimg.UseWH(13*vg.Inch, vg.Length(rows)*3.4*vg.Inch), vgimg.UseDPI(80))
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 20, PadY: 20, PadTop: 10, PadBottom: 10, PadLeft: 10, PadRight: 10}
	for i, row := range plot.Align(grid, tiles, draw.New(img)) {
		for j, canvas := range row {
			if grid[i][j] != nil {
				grid[i][j].Draw(canvas)
			}
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

// draw makes the panel's diagram.
func (p *panel) draw(contenders []string, legend bool) (*plot.Plot, error) {
	out := plot.New()
	out.Title.Text, out.Y.Label.Text = p.title, p.axis
	out.Add(plotter.NewGrid())
	out.Legend.Top = true
	room := vg.Points(330)
	width := room / vg.Length(len(contenders)*len(p.workloads)+len(p.workloads))
	highest := 1e-9 // an axis without any length has no end of ticks
	for i, name := range contenders {
		bars := make(plotter.Values, len(p.workloads))
		var whiskers whisker
		offset := (vg.Length(i) - vg.Length(len(contenders)-1)/2) * width
		for x, w := range p.workloads {
			if s, ok := summarize(p.values(w, name)); ok {
				bars[x] = s.median
				highest = max(highest, s.greatest)
				whiskers.add(float64(x), s)
			}
		}
		chart, err := plotter.NewBarChart(bars, width)
		if err != nil {
			return nil, err
		}
		chart.LineStyle.Width = 0
		chart.Color = palette[i%len(palette)]
		chart.Offset = offset
		whiskers.offset = offset
		out.Add(chart, &whiskers)
		if legend {
			out.Legend.Add(name, chart)
		}
	}
	if legend {
		highest *= 1.6 // room for it
	}
	out.Y.Min, out.Y.Max = 0, highest*1.05
	out.NominalX(p.labels...)
	// Bars at the very ends would have no room beside them.
	out.X.Min, out.X.Max = -0.5, float64(len(p.labels))-0.5
	return out, nil
}

// whisker draws least and greatest as lines over bars that stand beside their
// place.
type whisker struct {
	x      []float64
	s      []summary
	offset vg.Length
}

func (w *whisker) add(x float64, s summary) {
	w.x, w.s = append(w.x, x), append(w.s, s)
}

// Plot is plot.Plotter's.
func (w *whisker) Plot(c draw.Canvas, p *plot.Plot) {
	style := draw.LineStyle{Color: color.Gray{60}, Width: vg.Points(1)}
	toX, toY := p.Transforms(&c)
	for i, x := range w.x {
		at := toX(x) + w.offset
		c.StrokeLine2(style, at, toY(max(w.s[i].least, 0)), at, toY(max(w.s[i].greatest, 0)))
	}
}
