package connect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// KeysVariable names the environment variable with the keys that encrypt what
// workflows carry, as ID:BASE64 of 32 bytes, several separated by commas. The
// first encrypts, all of them decrypt, so that a key is rotated by putting the
// new one first. Without it nothing is encrypted.
const KeysVariable = "TRUEUP_PAYLOAD_KEYS"

// encoding marks an encrypted payload in its metadata, keyID names its key.
const (
	encoding    = "binary/encrypted"
	encodingKey = converter.MetadataEncoding
	keyID       = "encryption-key-id"
)

// Converter returns the converter of everything that workflows carry: the usual
// one, or with keys set one that encrypts it with AES-GCM. Ids, types, search
// attributes and queue names are never encrypted, so they hold no personal data.
func Converter() (converter.DataConverter, error) {
	keys, err := parseKeys(os.Getenv(KeysVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeysVariable, err)
	}
	if len(keys) == 0 {
		return converter.GetDefaultDataConverter(), nil
	}
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), &codec{keys: keys}), nil
}

type key struct {
	id   string
	seal cipher.AEAD
}

func parseKeys(list string) ([]key, error) {
	if list == "" {
		return nil, nil
	}
	var keys []key
	for i, item := range strings.Split(list, ",") {
		id, text, ok := strings.Cut(strings.TrimSpace(item), ":")
		if !ok || id == "" {
			return nil, fmt.Errorf("key %d is not ID:BASE64", i+1)
		}
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(secret) != 32 {
			return nil, fmt.Errorf("key %q is not the base64 of 32 bytes; make one with: openssl rand -base64 32", id)
		}
		block, err := aes.NewCipher(secret)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", id, err)
		}
		seal, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", id, err)
		}
		for _, known := range keys {
			if known.id == id {
				return nil, fmt.Errorf("key %q is there twice", id)
			}
		}
		keys = append(keys, key{id, seal})
	}
	return keys, nil
}

// codec encrypts payloads. Each is sealed with its key's id, so that an id
// cannot be exchanged unnoticed.
type codec struct{ keys []key }

// Encode implements converter.PayloadCodec.
func (c *codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	sealed := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encrypt payload: %w", err)
		}
		k := c.keys[0]
		nonce := make([]byte, k.seal.NonceSize())
		if _, err := rand.Read(nonce); err != nil {
			return nil, fmt.Errorf("encrypt payload: %w", err)
		}
		sealed[i] = &commonpb.Payload{
			Metadata: map[string][]byte{encodingKey: []byte(encoding), keyID: []byte(k.id)},
			Data:     k.seal.Seal(nonce, nonce, plain, []byte(k.id)),
		}
	}
	return sealed, nil
}

// Decode implements converter.PayloadCodec. What was written before encryption
// was switched on stays readable; a missing key stops loudly.
func (c *codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	plain := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.Metadata[encodingKey]) != encoding {
			plain[i] = p
			continue
		}
		opened, err := c.open(p)
		if err != nil {
			return nil, err
		}
		plain[i] = opened
	}
	return plain, nil
}

func (c *codec) open(p *commonpb.Payload) (*commonpb.Payload, error) {
	id := string(p.Metadata[keyID])
	for _, k := range c.keys {
		if k.id != id {
			continue
		}
		size := k.seal.NonceSize()
		if len(p.Data) < size {
			return nil, errors.New("decrypt payload: it is too short")
		}
		data, err := k.seal.Open(nil, p.Data[:size], p.Data[size:], []byte(id))
		if err != nil {
			return nil, fmt.Errorf("decrypt payload with key %q: %w", id, err)
		}
		var plain commonpb.Payload
		if err := proto.Unmarshal(data, &plain); err != nil {
			return nil, fmt.Errorf("decrypt payload with key %q: %w", id, err)
		}
		return &plain, nil
	}
	return nil, fmt.Errorf("decrypt payload: key %q is not among those of %s; add it behind the current one", id, KeysVariable)
}
