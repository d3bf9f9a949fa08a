// What a real istiod sends a proxy: its discovery server over sets of objects, asked by state-of-the-world ADS.
//
// Reads one JSON object a line: {"objects": YAML, "mesh": YAML, "networks": YAML, "nodes": [{"id": NODE, "metadata": {...}},
// ...]}; writes one a line: {"answers": [{"cds": [...], "eds": [...], "lds": [...], "rds": [...]}, ...], "error": TEXT}, resources as protobuf JSON
// with the original field names.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/networking/core"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pilot/test/xdstest"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/mesh/meshwatcher"
	"istio.io/istio/pkg/config/schema/gatewayapi"
	"istio.io/istio/pkg/test"
	"sigs.k8s.io/yaml"
)

type node struct {
	ID       string         `json:"id"`
	Metadata map[string]any `json:"metadata"`
}

type question struct {
	Objects  string `json:"objects"`
	Mesh     string `json:"mesh"`
	Networks string `json:"networks"`
	Nodes    []node `json:"nodes"`
}

type answer map[string][]json.RawMessage

// What no server answers in this time it has nothing to say about.
const patience = 20 * time.Second

// The test's definitions of the Gateway API's kinds have no version, for which istiod would pass over three of them.
func init() {
	clear(gatewayapi.MinimumCRDVersions)
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 || err != nil {
			return
		}
		asked, reply := question{}, map[string]any{"answers": []answer{}, "error": ""}
		if err := json.Unmarshal(line, &asked); err != nil {
			reply["error"] = err.Error()
		} else if answers, err := answerTo(asked); err != nil {
			reply["error"] = err.Error()
		} else {
			reply["answers"] = answers
		}
		text, _ := json.Marshal(reply)
		fmt.Println(string(text))
	}
}

func answerTo(asked question) (answers []answer, err error) {
	config, err := meshOf(asked.Mesh)
	if err != nil {
		return nil, err
	}
	networks, err := networksOf(asked.Networks)
	if err != nil {
		return nil, err
	}
	policies, objects, err := sorted(asked.Objects)
	if err != nil {
		return nil, err
	}
	parsed, _, err := crd.ParseInputs(policies)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for place := range parsed {
		parsed[place].Domain = "cluster.local" // as of the cluster, by which short names are completed
		if parsed[place].Namespace == "" {
			parsed[place].Namespace = "default"
		}
		if parsed[place].CreationTimestamp.IsZero() {
			parsed[place].CreationTimestamp = now
		}
	}
	var failure error
	err = test.Wrap(func(t test.Failer) {
		server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
			Configs:                parsed,
			KubernetesObjectString: objects,
			MeshConfig:             config,
			NetworksWatcher:        networks,
		})
		for _, one := range asked.Nodes {
			var found answer
			if found, failure = ask(server.BufListener.Dial, one); failure != nil {
				return
			}
			answers = append(answers, found)
		}
	})
	if failure != nil {
		return nil, failure
	}
	return answers, err
}

func meshOf(text string) (*meshconfig.MeshConfig, error) {
	if strings.TrimSpace(text) == "" {
		return mesh.DefaultMeshConfig(), nil
	}
	return mesh.ApplyMeshConfigDefaults(text)
}

// Without any there is none, as for an istiod without the file.
func networksOf(text string) (mesh.NetworksWatcher, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	networks, err := mesh.ParseMeshNetworks(text)
	if err != nil {
		return nil, err
	}
	return meshwatcher.NewFixedNetworksWatcher(networks), nil
}

// Istio's own kinds go to its store, all others to the cluster.
func sorted(text string) (policies string, objects string, err error) {
	for _, document := range strings.Split("\n"+text, "\n---") {
		var head struct {
			APIVersion string `json:"apiVersion"`
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return "", "", err
		}
		switch group, _, _ := strings.Cut(head.APIVersion, "/"); {
		case head.APIVersion == "":
		case strings.HasSuffix(group, ".istio.io"):
			policies += "---\n" + document + "\n"
		default:
			objects += "---\n" + document + "\n"
		}
	}
	return policies, objects, nil
}

func ask(dial func() (net.Conn, error), one node) (answer, error) {
	connection, err := grpc.NewClient("passthrough:///istiod", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dial() }))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	metadata, err := structpb.NewStruct(one.Metadata)
	if err != nil {
		return nil, err
	}
	client := &corev3.Node{Id: one.ID, Metadata: metadata}

	fetch := func(typeURL string, names []string) ([]*anypb.Any, error) {
		if err := stream.Send(&discovery.DiscoveryRequest{Node: client, TypeUrl: typeURL, ResourceNames: names}); err != nil {
			return nil, err
		}
		for {
			response, err := stream.Recv()
			if err != nil {
				return nil, err
			}
			ack := &discovery.DiscoveryRequest{Node: client, TypeUrl: response.TypeUrl, VersionInfo: response.VersionInfo,
				ResponseNonce: response.Nonce, ResourceNames: names}
			if response.TypeUrl != typeURL { // pushed again meanwhile
				continue
			}
			return response.Resources, stream.Send(ack)
		}
	}

	clusters, err := fetch(v3.ClusterType, nil)
	if err != nil {
		return nil, err
	}
	listeners, err := fetch(v3.ListenerType, nil)
	if err != nil {
		return nil, err
	}
	var decodedClusters []*cluster.Cluster
	for _, resource := range clusters {
		decoded := &cluster.Cluster{}
		if err := resource.UnmarshalTo(decoded); err != nil {
			return nil, err
		}
		decodedClusters = append(decodedClusters, decoded)
	}
	var decodedListeners []*listener.Listener
	for _, resource := range listeners {
		decoded := &listener.Listener{}
		if err := resource.UnmarshalTo(decoded); err != nil {
			return nil, err
		}
		decodedListeners = append(decodedListeners, decoded)
	}
	var routes, endpoints []*anypb.Any
	if names := core.ExtractRoutesFromListeners(decodedListeners); len(names) > 0 {
		if routes, err = fetch(v3.RouteType, names); err != nil {
			return nil, err
		}
	}
	if names := xdstest.ExtractEdsClusterNames(decodedClusters); len(names) > 0 {
		if endpoints, err = fetch(v3.EndpointType, names); err != nil {
			return nil, err
		}
	}
	found := answer{}
	for section, resources := range map[string][]*anypb.Any{
		"cds": clusters, "eds": endpoints, "lds": listeners, "rds": routes,
	} {
		found[section] = []json.RawMessage{}
		for _, resource := range resources {
			message, err := resource.UnmarshalNew()
			if err != nil {
				return nil, err
			}
			text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
			if err != nil {
				return nil, err
			}
			found[section] = append(found[section], text)
		}
	}
	return found, nil
}
