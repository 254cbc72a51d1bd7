package routing

import "bytes"

// modelSegment goes before a model's name in a path.
const modelSegment = "/models/"

// SplitModel cuts a path at the name of the model that it asks, the segment
// after the last "/models/" up to its action: before + model + after is path.
// The model is empty when there is none. The results alias path.
func SplitModel(path []byte) (before, model, after []byte) {
	i := bytes.LastIndex(path, []byte(modelSegment))
	if i < 0 {
		return path, nil, nil
	}
	i += len(modelSegment)
	end := len(path)
	if n := bytes.IndexAny(path[i:], "/:"); n >= 0 {
		end = i + n
	}
	for _, colon := range [...]string{"%3A", "%3a"} {
		// Some clients encode the colon.
		if n := bytes.Index(path[i:end], []byte(colon)); n >= 0 {
			end = i + n
		}
	}
	return path[:i], path[i:end], path[end:]
}

// Renames maps the names that clients have for models to the upstream's.
type Renames map[string]string

// AppendPath appends a path to dst as it was written, but with the upstream's name
// for the model. plain is its PlainPath.
func (r Renames) AppendPath(dst, path, plain []byte) []byte {
	if len(r) == 0 {
		return append(dst, path...)
	}
	before, model, _ := SplitModel(plain)
	name, known := r[string(model)]
	if !known || len(model) == 0 {
		return append(dst, path...)
	}
	from, to := len(before), len(before)+len(model)
	if len(path) != len(plain) {
		from, to = writtenLen(path, from), writtenLen(path, to)
	}
	dst = append(dst, path[:from]...)
	dst = append(dst, name...)
	return append(dst, path[to:]...)
}
