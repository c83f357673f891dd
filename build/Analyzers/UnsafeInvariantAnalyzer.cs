using System.Collections.Immutable;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Quietus.Analyzers;

/// <summary>
/// QT0003: whatever is <c>unsafe</c> says what makes it right, in a comment with the word "Invariant" before it or in
/// it. One comment at a type's head can speak for the whole type.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class UnsafeInvariantAnalyzer : DiagnosticAnalyzer
{
    private const string Word = "Invariant";

    /// <summary>The rule.</summary>
    public static readonly DiagnosticDescriptor Rule = new(
        "QT0003",
        "Unsafe code states its invariant",
        "Nothing says what makes this unsafe code right: write a comment \"Invariant: …\" above or in it",
        "Quietus",
        DiagnosticSeverity.Warning,
        isEnabledByDefault: true);

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rule];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.EnableConcurrentExecution();
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.RegisterSyntaxTreeAction(OnTree);
    }

    private static void OnTree(SyntaxTreeAnalysisContext context)
    {
        SyntaxNode root = context.Tree.GetRoot(context.CancellationToken);
        foreach (SyntaxToken token in root.DescendantTokens().Where(token => token.IsKind(SyntaxKind.UnsafeKeyword)))
        {
            // `using unsafe Alias = int*;` is a name, not code.
            if (token.Parent is { } code and not UsingDirectiveSyntax && !States(code))
            {
                context.ReportDiagnostic(Diagnostic.Create(Rule, token.GetLocation()));
            }
        }
    }

    /// <summary>Whether a comment before the code, or anywhere in it, states an invariant.</summary>
    private static bool States(SyntaxNode code) => code
        .DescendantTrivia(descendIntoTrivia: false)
        .Any(trivia => IsComment(trivia) && trivia.ToFullString().Contains(Word, System.StringComparison.Ordinal));

    private static bool IsComment(SyntaxTrivia trivia) => trivia.Kind()
        is SyntaxKind.SingleLineCommentTrivia
        or SyntaxKind.MultiLineCommentTrivia
        or SyntaxKind.SingleLineDocumentationCommentTrivia
        or SyntaxKind.MultiLineDocumentationCommentTrivia;
}
