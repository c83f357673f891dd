using System;
using System.Collections.Generic;

namespace Quietus.Cli.Templates;

/// <summary>A template in the cache: what its folder's <c>template.json</c> says.</summary>
internal sealed record TemplateEntry(
    string Schema,
    string Name,
    string? Image,
    long MemoryBytes,
    int Cpus,
    IReadOnlyList<IReadOnlyList<string>> WarmUp,
    IReadOnlyList<string> Environment,
    string User,
    string WorkingFolder,
    IReadOnlyList<string> EntryPoint,
    IReadOnlyList<string> Command,
    bool IsDisk,
    long ImageBytes,
    DateTimeOffset BuiltAt,
    long BootNs,
    bool HasNetwork = false)
{
    public const string SchemaName = "quietus.template/1";

    public static TemplateEntry Of(string name, PreparedTemplate template, long imageBytes, long bootNs) => new(
        SchemaName,
        name,
        template.Recipe.Image,
        template.Recipe.MemoryBytes,
        template.Recipe.Cpus,
        template.Recipe.WarmUp,
        template.Recipe.Environment,
        template.Recipe.User,
        template.Recipe.WorkingFolder,
        template.Recipe.EntryPoint,
        template.Recipe.Command,
        template.Image.Disk is not null,
        imageBytes,
        DateTimeOffset.UtcNow,
        bootNs,
        template.Recipe.HasNetwork);

    public TemplateRecipe Recipe() => new()
    {
        Image = Image,
        MemoryBytes = MemoryBytes,
        Cpus = Cpus,
        WarmUp = WarmUp,
        Environment = Environment,
        User = User,
        WorkingFolder = WorkingFolder,
        EntryPoint = EntryPoint,
        Command = Command,
        HasNetwork = HasNetwork,
    };
}
