using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.RegularExpressions;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;

namespace Quietus.Cli.Templates;

/// <summary>
/// The templates of the cache, a folder for each: the recipe and the packed image. A frozen VM lives in a machine and
/// cannot be kept; what is kept makes the same template again.
/// </summary>
internal static partial class TemplateStore
{
    private const string RecipeFile = "template.json";
    private const string ArchiveFile = "image.cpio";
    private const string DiskFile = "disk";

    private static string Root => Path.Combine(Folders.Cache, "templates");

    /// <summary>A name that can be a folder's; an error of usage for another.</summary>
    public static string CheckName(string name) => NamePattern().IsMatch(name)
        ? name
        : throw CliException.Usage(
            $"'{Terminals.Printable.Line(name)}' is no template's name",
            "1 to 63 lower-case letters, digits, dots, dashes and underscores, a letter or digit first");

    /// <summary>One of them; null where there is none, and for what is no name.</summary>
    public static TemplateEntry? Find(string name) => NamePattern().IsMatch(name) ? Read(name) : null;

    /// <summary>All of them, by their names. What is not whole is passed over.</summary>
    public static IReadOnlyList<TemplateEntry> List() => Directory.Exists(Root)
        ? [.. Directory.GetDirectories(Root).Order(StringComparer.Ordinal)
            .Select(folder => Read(Path.GetFileName(folder))).OfType<TemplateEntry>()]
        : [];

    /// <summary>Whether there is one of this name.</summary>
    public static bool Has(string name) => Read(CheckName(name)) is not null;

    /// <summary>One of them; an error of usage where there is none.</summary>
    public static (TemplateEntry Entry, StoredImage Image) Load(string name)
    {
        string folder = Path.Combine(Root, CheckName(name));
        TemplateEntry entry = Read(name) ?? throw CliException.Usage(
            $"there is no template '{name}'", "./quietus template list shows what there is; template build makes one");
        return (entry, new StoredImage(
            Path.Combine(folder, ArchiveFile), entry.IsDisk ? Path.Combine(folder, DiskFile) : null));
    }

    /// <summary>Keeps a template that has been booted, in place of one of its name.</summary>
    public static TemplateEntry Save(string name, PreparedTemplate template, long bootNs)
    {
        string folder = Path.Combine(Root, CheckName(name));
        string part = Path.Combine(Root, "." + Path.GetRandomFileName());
        try
        {
            Directory.CreateDirectory(part);
            File.Copy(template.Image.Archive, Path.Combine(part, ArchiveFile));
            long bytes = new FileInfo(template.Image.Archive).Length;
            if (template.Image.Disk is { } disk)
            {
                File.Copy(disk, Path.Combine(part, DiskFile));
                bytes += new FileInfo(disk).Length;
            }

            TemplateEntry entry = TemplateEntry.Of(name, template, bytes, bootNs);
            File.WriteAllText(
                Path.Combine(part, RecipeFile), JsonSerializer.Serialize(entry, TemplateContext.Default.TemplateEntry));
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }

            Directory.Move(part, folder);
            return entry;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(
                ExitCode.Failed, $"the template cannot be kept: {error.Message}", $"make room in {Root}");
        }
        finally
        {
            if (Directory.Exists(part))
            {
                Directory.Delete(part, recursive: true);
            }
        }
    }

    /// <summary>Removes one; an error of usage where there is none.</summary>
    public static void Remove(string name)
    {
        Load(name);
        Directory.Delete(Path.Combine(Root, name), recursive: true);
    }

    private static TemplateEntry? Read(string name)
    {
        string path = Path.Combine(Root, name, RecipeFile);
        try
        {
            TemplateEntry? entry = File.Exists(path)
                ? JsonSerializer.Deserialize(File.ReadAllText(path), TemplateContext.Default.TemplateEntry)
                : null;
            return entry is { Schema: TemplateEntry.SchemaName } && entry.Name == name ? entry : null;
        }
        catch (Exception error) when (error is JsonException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [GeneratedRegex("^[a-z0-9][a-z0-9._-]{0,62}$")]
    private static partial Regex NamePattern();
}
