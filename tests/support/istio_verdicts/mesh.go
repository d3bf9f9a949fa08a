package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/go-multierror"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/validation/agent"
	"istio.io/istio/pkg/util/protomarshal"
	"sigs.k8s.io/yaml"
)

// question is a document: what is asked of the settings of a mesh.
type question struct {
	// Ask is what for: mesh, proxy and networks are read as istiod reads them, over its defaults; same-mesh, same-proxy and
	// same-networks take their text as it is and refuse what they do not know; schema shows every field there is.
	Ask string `json:"ask"`
	// Text is the YAML.
	Text string `json:"text"`
	// Base is the mesh configuration below a proxy's.
	Base string `json:"base"`
}

// answer is the line for a question.
type answer struct {
	// Refusal is the error of istiod; nil means "accepted".
	Refusal *string `json:"refusal"`
	// Providers are the errors of extension providers, which istiod logs.
	Providers []string `json:"providers"`
	// Warnings are what istiod accepts and warns of.
	Warnings []string `json:"warnings"`
	// Effective is what istiod makes of it.
	Effective json.RawMessage `json:"effective"`
}

func answerOf(document []byte) any {
	var asked question
	if err := yaml.Unmarshal(document, &asked); err != nil {
		return answer{Refusal: text(err)}
	}
	return asked.answer()
}

func (q question) answer() (found answer) {
	defer func() {
		if reason := recover(); reason != nil {
			found.Refusal = text(fmt.Errorf("panic: %v", reason))
		}
	}()
	if q.Ask == "schema" {
		content, err := json.Marshal(fields())
		return answer{Refusal: text(err), Effective: content}
	}
	message, warnings, err := q.read()
	found = answer{Refusal: text(err), Warnings: messages(warnings)}
	if err != nil {
		return found
	}
	if config, isMesh := message.(*meshconfig.MeshConfig); isMesh {
		found.Providers = providers(config)
	}
	content, err := protomarshal.ToJSON(message)
	found.Refusal, found.Effective = text(err), json.RawMessage(content)
	return found
}

func (q question) read() (message proto.Message, warnings error, err error) {
	switch q.Ask {
	case "mesh":
		config, err := mesh.ApplyMeshConfigDefaults(q.Text)
		if err != nil {
			return nil, nil, err
		}
		warnings, err := agent.ValidateMeshConfig(config)
		return config, warnings, err
	case "proxy":
		config, err := mesh.ApplyMeshConfigDefaults(q.Base)
		if err != nil {
			return nil, nil, err
		}
		merged, err := mesh.MergeProxyConfig(q.Text, config.DefaultConfig)
		if err != nil {
			return nil, nil, err
		}
		found := agent.ValidateMeshConfigProxyConfig(merged)
		return merged, found.Warning, found.Err
	case "networks":
		networks, err := mesh.ParseMeshNetworks(q.Text)
		return networks, nil, err
	case "same-mesh":
		message = &meshconfig.MeshConfig{}
	case "same-proxy":
		message = &meshconfig.ProxyConfig{}
	case "same-networks":
		message = &meshconfig.MeshNetworks{}
	default:
		return nil, nil, fmt.Errorf("nobody knows how to answer %q", q.Ask)
	}
	return message, nil, protomarshal.ApplyYAMLStrict(q.Text, message)
}

func messages(err error) []string {
	var several *multierror.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &several) {
		return []string{err.Error()}
	}
	var found []string
	for _, one := range several.Errors {
		found = append(found, one.Error())
	}
	return found
}

// providers says what istiod logs: its own function is not exported, those of some kinds are, and the others have no more
// rules than the one that is asked in their place.
func providers(config *meshconfig.MeshConfig) []string {
	var found []string
	for _, provider := range config.ExtensionProviders {
		if err := judgeProvider(provider); err != nil {
			found = append(found, fmt.Sprintf("%s: %v", provider.Name, err))
		}
	}
	return found
}

type addressed interface {
	GetService() string
	GetPort() uint32
}

func judgeProvider(provider *meshconfig.MeshConfig_ExtensionProvider) error {
	if provider.Name == "" {
		return errors.New("empty extension provider name")
	}
	switch kind := provider.Provider.(type) {
	case nil:
		return errors.New("unsupported provider")
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyExtAuthzHttp:
		return agent.ValidateExtensionProviderEnvoyExtAuthzHTTP(kind.EnvoyExtAuthzHttp)
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyExtAuthzGrpc:
		return agent.ValidateExtensionProviderEnvoyExtAuthzGRPC(kind.EnvoyExtAuthzGrpc)
	case *meshconfig.MeshConfig_ExtensionProvider_Opentelemetry:
		return agent.ValidateExtensionProviderTracingOpentelemetry(kind.Opentelemetry)
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyOtelAls:
		return agent.ValidateExtensionProviderEnvoyOtelAls(kind.EnvoyOtelAls)
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyHttpAls:
		return agent.ValidateExtensionProviderEnvoyHTTPAls(kind.EnvoyHttpAls)
	case *meshconfig.MeshConfig_ExtensionProvider_Zipkin:
		return addressOf(kind.Zipkin)
	case *meshconfig.MeshConfig_ExtensionProvider_Lightstep: //nolint: staticcheck
		if kind.Lightstep.AccessToken == "" {
			return errors.New("access token is required")
		}
		return addressOf(kind.Lightstep)
	case *meshconfig.MeshConfig_ExtensionProvider_Datadog:
		return addressOf(kind.Datadog)
	case *meshconfig.MeshConfig_ExtensionProvider_Opencensus: //nolint: staticcheck
		return addressOf(kind.Opencensus)
	case *meshconfig.MeshConfig_ExtensionProvider_Skywalking:
		return addressOf(kind.Skywalking)
	case *meshconfig.MeshConfig_ExtensionProvider_EnvoyTcpAls:
		return addressOf(kind.EnvoyTcpAls)
	}
	return nil
}

func addressOf(kind addressed) error {
	return agent.ValidateExtensionProviderEnvoyTCPAls(
		&meshconfig.MeshConfig_ExtensionProvider_EnvoyTcpGrpcV3LogProvider{Service: kind.GetService(), Port: kind.GetPort()})
}

// described is what a schema says of a field, by its name in JSON.
type described struct {
	// Kind is a scalar's, or message.
	Kind string `json:"kind"`
	// Message is the full name of a message.
	Message string `json:"message"`
	// Oneof names the choice that the field is part of.
	Oneof string `json:"oneof"`
	// Values are an enum's.
	Values []string `json:"values"`
	List   bool     `json:"list"`
	Map    bool     `json:"map"`
}

func fields() map[string]map[string]described {
	found := map[string]map[string]described{}
	for _, root := range []proto.Message{&meshconfig.MeshConfig{}, &meshconfig.ProxyConfig{}, &meshconfig.MeshNetworks{}} {
		collect(root.ProtoReflect().Descriptor(), found)
	}
	return found
}

func collect(message protoreflect.MessageDescriptor, found map[string]map[string]described) {
	name := string(message.FullName())
	if _, seen := found[name]; seen || message.FullName().Parent() == "google.protobuf" {
		return
	}
	found[name] = map[string]described{}
	for place := range message.Fields().Len() {
		one := message.Fields().Get(place)
		value := one
		if one.IsMap() {
			value = one.MapValue()
		}
		own := described{Kind: value.Kind().String(), List: one.IsList(), Map: one.IsMap()}
		if choice := one.ContainingOneof(); choice != nil {
			own.Oneof = string(choice.Name())
		}
		if value.Enum() != nil {
			for index := range value.Enum().Values().Len() {
				own.Values = append(own.Values, string(value.Enum().Values().Get(index).Name()))
			}
		}
		if value.Message() != nil {
			own.Message = string(value.Message().FullName())
			collect(value.Message(), found)
		}
		found[name][one.JSONName()] = own
	}
}
