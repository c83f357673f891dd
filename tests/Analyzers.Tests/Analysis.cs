using System;
using System.Collections.Immutable;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>Compiles a piece of C# in memory and runs one analyzer over it.</summary>
internal static class Analysis
{
    private static readonly ImmutableArray<MetadataReference> _framework =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
            .Split(Path.PathSeparator)
            .Where(path => Path.GetFileName(path).StartsWith("System.", StringComparison.Ordinal)
                || Path.GetFileName(path) is "Microsoft.CSharp.dll" or "netstandard.dll")
            .Select(path => MetadataReference.CreateFromFile(path)),
    ];

    /// <summary>What the analyzer says of the source, as "ID line", in order; the source itself must compile.</summary>
    public static async Task<string[]> Of<TAnalyzer>(string source)
        where TAnalyzer : DiagnosticAnalyzer, new()
    {
        CSharpCompilation compilation = CSharpCompilation.Create(
            "Sample",
            [CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.CSharp14))],
            _framework,
            new CSharpCompilationOptions(
                OutputKind.DynamicallyLinkedLibrary,
                allowUnsafe: true,
                nullableContextOptions: NullableContextOptions.Enable));
        string[] mistakes =
        [
            .. compilation.GetDiagnostics(TestContext.Current.CancellationToken)
                .Where(found => found.Severity == DiagnosticSeverity.Error)
                .Select(found => found.ToString()),
        ];
        Assert.True(mistakes.Length == 0, string.Join(Environment.NewLine, mistakes));

        ImmutableArray<Diagnostic> found = await compilation
            .WithAnalyzers([new TAnalyzer()])
            .GetAnalyzerDiagnosticsAsync(TestContext.Current.CancellationToken);
        return
        [
            .. found
                .OrderBy(diagnostic => diagnostic.Location.SourceSpan.Start)
                .Select(diagnostic => string.Create(
                    CultureInfo.InvariantCulture,
                    $"{diagnostic.Id} {diagnostic.Location.GetLineSpan().StartLinePosition.Line + 1}")),
        ];
    }

    /// <summary>The lines of the source (counted from 1) that end with the comment <c>// bad</c>.</summary>
    public static string[] Marked(string source, string id) =>
    [
        .. source.Split('\n')
            .Select((line, index) => (line, number: index + 1))
            .Where(at => at.line.TrimEnd().EndsWith("// bad", StringComparison.Ordinal))
            .Select(at => string.Create(CultureInfo.InvariantCulture, $"{id} {at.number}")),
    ];
}
