using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Quietus.Analyzers;

/// <summary>
/// QT0001: a value whose type carries <c>[MustSettle]</c> is an obligation, such as the TLB invalidation that a change
/// of permissions still owes; and so is a value of a type named <c>…Result</c>, which says whether a lower layer did
/// what it was asked. To drop one (as a statement, into <c>_</c>, or into a local that nothing but its own properties
/// reads) is an error.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class MustSettleAnalyzer : DiagnosticAnalyzer
{
    private const string AttributeName = "MustSettleAttribute";

    /// <summary>The rule.</summary>
    public static readonly DiagnosticDescriptor Rule = new(
        "QT0001",
        "A debt must be settled, a result looked at, or passed on",
        "The {0} is dropped: act on it, or hand it to the caller",
        "Quietus",
        DiagnosticSeverity.Error,
        isEnabledByDefault: true);

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rule];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.EnableConcurrentExecution();
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.RegisterOperationAction(OnStatement, OperationKind.ExpressionStatement);
        context.RegisterOperationAction(OnDiscard, OperationKind.Discard);
        context.RegisterOperationBlockAction(OnBlock);
    }

    private static void OnStatement(OperationAnalysisContext context)
    {
        IOperation value = ((IExpressionStatementOperation)context.Operation).Operation;
        // An assignment has a value too, but the target has it as well; a discard as the target is the next rule's.
        if (value is not IAssignmentOperation && MustSettle(value.Type))
        {
            Report(context.ReportDiagnostic, value);
        }
    }

    private static void OnDiscard(OperationAnalysisContext context)
    {
        if (MustSettle(context.Operation.Type))
        {
            Report(context.ReportDiagnostic, context.Operation);
        }
    }

    private static void OnBlock(OperationBlockAnalysisContext context)
    {
        var declared = new Dictionary<ILocalSymbol, IOperation>(SymbolEqualityComparer.Default);
        var read = new HashSet<ISymbol>(SymbolEqualityComparer.Default);
        foreach (IOperation operation in context.OperationBlocks.SelectMany(block => block.DescendantsAndSelf()))
        {
            switch (operation)
            {
                case IVariableDeclaratorOperation declarator when MustSettle(declarator.Symbol.Type):
                    declared[declarator.Symbol] = declarator;
                    break;
                case ILocalReferenceOperation { IsDeclaration: true } reference when MustSettle(reference.Type):
                    declared[reference.Local] = reference;
                    break;
                case ILocalReferenceOperation reference when !IsWritten(reference) && !IsLookedAt(reference):
                    read.Add(reference.Local);
                    break;
            }
        }

        foreach (KeyValuePair<ILocalSymbol, IOperation> local in declared)
        {
            if (!read.Contains(local.Key))
            {
                Report(context.ReportDiagnostic, local.Value, local.Key.Type);
            }
        }
    }

    /// <summary>Whether the local is only assigned here: by <c>=</c>, as an out argument, by deconstruction.</summary>
    private static bool IsWritten(IOperation reference)
    {
        IOperation target = reference;
        while (target.Parent is ITupleOperation tuple)
        {
            target = tuple;
        }

        return target.Parent switch
        {
            ISimpleAssignmentOperation assignment => assignment.Target == target,
            IDeconstructionAssignmentOperation assignment => assignment.Target == target,
            IArgumentOperation argument => argument.Parameter?.RefKind == RefKind.Out,
            _ => false,
        };
    }

    /// <summary>Whether only a property or field of the local is read or set: that settles nothing.</summary>
    private static bool IsLookedAt(ILocalReferenceOperation reference) =>
        reference.Parent is IPropertyReferenceOperation or IFieldReferenceOperation;

    /// <summary>Whether the type carries the attribute, is a result, or is a tuple in which one is.</summary>
    private static bool MustSettle(ITypeSymbol? type) =>
        type is INamedTypeSymbol { IsTupleType: true } tuple
            ? tuple.TupleElements.Any(element => MustSettle(element.Type))
            : type is not null && (type.Name.EndsWith("Result", System.StringComparison.Ordinal)
                || type.GetAttributes().Any(a => a.AttributeClass?.Name == AttributeName));

    private static void Report(System.Action<Diagnostic> report, IOperation where, ITypeSymbol? type = null)
    {
        // A tuple has no name of its own.
        string name = (type ?? where.Type)?.Name is { Length: > 0 } named ? named : "value";
        report(Diagnostic.Create(Rule, where.Syntax.GetLocation(), name));
    }
}
