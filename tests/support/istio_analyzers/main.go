// The analyzers of Istio with the runtime resources (Pod, Service, Namespace, Secret, Node) that `istioctl analyze` leaves
// out of files. Reads sets of files, one set a line, tab separated; writes one JSON list of messages a line.
// A first field that starts with `mesh=` names a file with the mesh configuration.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/local"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		messages, err := analyze(strings.Split(lines.Text(), "\t"))
		answer := map[string]any{"messages": messages, "error": ""}
		if err != nil {
			answer["error"] = err.Error()
		}
		text, _ := json.Marshal(answer)
		fmt.Println(string(text))
	}
}

func analyze(files []string) ([]map[string]any, error) {
	sa := local.NewSourceAnalyzer(analyzers.AllCombined(), "", "istio-system", nil)
	var readers []local.ReaderSource
	for _, file := range files {
		if mesh, found := strings.CutPrefix(file, "mesh="); found {
			if err := sa.AddFileKubeMeshConfig(mesh); err != nil {
				return nil, err
			}
			continue
		}
		reader, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		readers = append(readers, local.ReaderSource{Name: file, Reader: reader})
	}
	parsed := sa.AddTestReaderKubeSource(readers)
	if err := sa.AddDefaultResources(); err != nil {
		return nil, err
	}
	cancel := make(chan struct{})
	result, err := sa.Analyze(cancel)
	close(cancel)
	if err != nil {
		return nil, err
	}
	found := []map[string]any{}
	for i := range result.Messages {
		found = append(found, result.Messages[i].Unstructured(true))
	}
	return found, parsed
}
