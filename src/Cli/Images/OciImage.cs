using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text.Json;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Images;

/// <summary>
/// An OCI image layout (image specification 1.1: <c>oci-layout</c>, <c>index.json</c>, <c>blobs/</c>), or what
/// <c>docker save</c> wrote before it wrote those (<c>manifest.json</c>). The image for arm64 is taken. What a blob's
/// name promises is checked.
/// </summary>
/// <param name="files">The files of the layout, and where they are.</param>
/// <param name="limits">What the image may come to.</param>
internal sealed class OciImage(ImageTree files, ImageLimits limits)
{
    private const int MostJson = 4 << 20;
    private const int MostNesting = 4;
    private const string Architecture = "arm64";

    private static readonly JsonDocumentOptions _json = new() { MaxDepth = 32 };

    /// <summary>Whether the files are such a layout.</summary>
    public static bool IsLayout(ImageTree files) =>
        files.Find("index.json")?.Content is not null && files.Find("oci-layout")?.Content is not null;

    /// <summary>Whether the files are an older <c>docker save</c>.</summary>
    public static bool IsSaved(ImageTree files) =>
        !IsLayout(files) && files.Find("manifest.json")?.Content is { Length: < MostJson } content
        && content.Read(MostJson).AsSpan().IndexOf("\"Layers\""u8) >= 0;

    /// <summary>Builds the root file system in a tree and returns how it wants to be run.</summary>
    public ImageConfiguration Read(ImageTree root, ContentSpool spool)
    {
        try
        {
            (ImageContent configuration, IReadOnlyList<ImageContent> layers) =
                IsLayout(files) ? FromLayout() : FromSaved();
            if (layers.Count > limits.MostLayers)
            {
                throw new ImageException($"it has more than {limits.MostLayers} layers");
            }

            foreach (ImageContent layer in layers)
            {
                root.BeginLayer();
                using Stream packed = layer.Open();
                new TarLayer(root, spool, limits).Read(packed, hasWhiteouts: true);
            }

            return ReadConfiguration(configuration);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException
            or KeyNotFoundException)
        {
            throw new ImageException($"its JSON is not an image's: {Printable.Line(error.Message)}", error);
        }
    }

    private (ImageContent Configuration, IReadOnlyList<ImageContent> Layers) FromLayout()
    {
        using JsonDocument index = Parse(File("index.json"));
        JsonElement manifest = Choose(index.RootElement, depth: 0);
        return (
            Blob(manifest.GetProperty("config")),
            [.. manifest.GetProperty("layers").EnumerateArray().Select(Blob)]);
    }

    private (ImageContent Configuration, IReadOnlyList<ImageContent> Layers) FromSaved()
    {
        using JsonDocument list = Parse(File("manifest.json"));
        JsonElement image = list.RootElement.EnumerateArray().First();
        return (
            File(image.GetProperty("Config").GetString()!),
            [.. image.GetProperty("Layers").EnumerateArray().Select(layer => File(layer.GetString()!))]);
    }

    /// <summary>The manifest for arm64, of an index or of one in it.</summary>
    private JsonElement Choose(JsonElement index, int depth)
    {
        if (depth > MostNesting)
        {
            throw new ImageException("its indexes lie in each other too deep");
        }

        List<string> seen = [];
        foreach (JsonElement descriptor in index.GetProperty("manifests").EnumerateArray())
        {
            string architecture = descriptor.TryGetProperty("platform", out JsonElement platform)
                ? Text(platform, "architecture")
                : Architecture;
            if (architecture != Architecture)
            {
                seen.Add(Printable.Line(architecture));
                continue;
            }

            using JsonDocument document = Parse(Blob(descriptor));
            JsonElement inner = document.RootElement.Clone();
            return inner.TryGetProperty("manifests", out _) ? Choose(inner, depth + 1) : inner;
        }

        string others = seen.Count == 0 ? string.Empty : ", but for " + string.Join(", ", seen);
        throw new ImageException($"it has no image for {Architecture}{others}");
    }

    private static ImageConfiguration ReadConfiguration(ImageContent content)
    {
        using JsonDocument document = Parse(content);
        JsonElement root = document.RootElement;
        string architecture = Text(root, "architecture");
        if (architecture is not "" and not Architecture)
        {
            throw new ImageException($"it is made for {Printable.Line(architecture)}, not for {Architecture}");
        }

        return root.TryGetProperty("config", out JsonElement configuration)
                && configuration.ValueKind == JsonValueKind.Object
            ? new ImageConfiguration
            {
                Environment = Texts(configuration, "Env"),
                WorkingFolder = Text(configuration, "WorkingDir"),
                User = Text(configuration, "User"),
                EntryPoint = Texts(configuration, "Entrypoint"),
                Command = Texts(configuration, "Cmd"),
            }
            : ImageConfiguration.None;
    }

    private static string Text(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out JsonElement value) ? value.GetString() ?? string.Empty : string.Empty;

    private static string[] Texts(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null
            ? [.. value.EnumerateArray().Select(item => item.GetString() ?? string.Empty)]
            : [];

    private static JsonDocument Parse(ImageContent content) => JsonDocument.Parse(content.Read(MostJson), _json);

    /// <summary>A file of the layout; one that is not there is an error.</summary>
    private ImageContent File(string path) => files.Find(path)?.Content
        ?? throw new ImageException($"'{Printable.Line(path)}' is missing");

    /// <summary>What a descriptor names, after its size and digest have been checked.</summary>
    private ImageContent Blob(JsonElement descriptor)
    {
        string digest = descriptor.GetProperty("digest").GetString() ?? string.Empty;
        string[] parts = digest.Split(':');
        HashAlgorithmName? algorithm = parts[0] switch
        {
            "sha256" => HashAlgorithmName.SHA256,
            "sha512" => HashAlgorithmName.SHA512,
            _ => null,
        };
        if (parts.Length != 2 || algorithm is null || !parts[1].All(char.IsAsciiHexDigitLower))
        {
            throw new ImageException($"'{Printable.Line(digest)}' is no digest by sha256 or sha512");
        }

        ImageContent content = File($"blobs/{parts[0]}/{parts[1]}");
        using Stream stream = content.Open();
        using var hash = IncrementalHash.CreateHash(algorithm.Value);
        byte[] buffer = new byte[128 * 1024];
        int count;
        while ((count = stream.Read(buffer)) > 0)
        {
            hash.AppendData(buffer, 0, count);
        }

        return content.Length == descriptor.GetProperty("size").GetInt64()
                && Convert.ToHexStringLower(hash.GetHashAndReset()) == parts[1]
            ? content
            : throw new ImageException($"the blob {parts[1]} is not what its name says");
    }
}
