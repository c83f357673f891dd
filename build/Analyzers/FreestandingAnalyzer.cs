using System.Collections.Immutable;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Quietus.Analyzers;

/// <summary>
/// QT0002: what code without a runtime under it cannot do. A freestanding image has no heap, no exceptions and no
/// interface dispatch. The link proves that for what the image uses; this says it at the line, also for code that
/// only the hosted build has so far.
/// </summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class FreestandingAnalyzer : DiagnosticAnalyzer
{
    /// <summary>The rule.</summary>
    public static readonly DiagnosticDescriptor Rule = new(
        "QT0002",
        "Freestanding code has no runtime under it",
        "{0}",
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
        RegisterSyntax(context);
        RegisterAllocation(context);
        RegisterDispatch(context);
        RegisterStatics(context);
    }

    private static void RegisterSyntax(AnalysisContext context)
    {
        Ban("no exception can be caught or thrown here: return an error value",
            SyntaxKind.TryStatement, SyntaxKind.ThrowStatement, SyntaxKind.ThrowExpression);
        Ban("'using' is a try-finally: call what ends it", SyntaxKind.UsingStatement);
        Ban("there is no monitor to lock: use a spin lock on a field", SyntaxKind.LockStatement);
        Ban("an iterator is an object: write the loop out",
            SyntaxKind.YieldReturnStatement, SyntaxKind.YieldBreakStatement);
        Ban("there is no scheduler to await with", SyntaxKind.AwaitExpression);
        Ban("a record brings string building and virtual members: write a struct",
            SyntaxKind.RecordDeclaration, SyntaxKind.RecordStructDeclaration);
        Ban("a static constructor runs code before its first use: initialise from a boot function",
            SyntaxKind.ConstructorDeclaration);
        Ban("a finalizer needs a collector", SyntaxKind.DestructorDeclaration);
        Ban("'using' is a try-finally: call what ends it", SyntaxKind.LocalDeclarationStatement);

        void Ban(string reason, params SyntaxKind[] kinds) => context.RegisterSyntaxNodeAction(
            found =>
            {
                bool banned = found.Node switch
                {
                    ConstructorDeclarationSyntax constructor => constructor.Modifiers.Any(SyntaxKind.StaticKeyword),
                    LocalDeclarationStatementSyntax local => !local.UsingKeyword.IsKind(SyntaxKind.None),
                    _ => true,
                };
                if (banned)
                {
                    Report(found.ReportDiagnostic, found.Node.GetFirstToken().GetLocation(), reason);
                }
            },
            kinds);
    }

    private static void RegisterAllocation(AnalysisContext context)
    {
        context.RegisterOperationAction(
            found =>
            {
                if (found.Operation is { Type.IsReferenceType: true, Parent: not IAttributeOperation } creation)
                {
                    Report(found, $"this allocates a {creation.Type.Name}, and there is no heap");
                }
            },
            OperationKind.ObjectCreation,
            OperationKind.AnonymousObjectCreation);

        context.RegisterOperationAction(
            found => Report(found, "'new T()' goes through the runtime's activator: use default"),
            OperationKind.TypeParameterObjectCreation);

        context.RegisterOperationAction(
            found =>
            {
                if (!IsConstantData((IArrayCreationOperation)found.Operation))
                {
                    Report(found, "this allocates an array, and there is no heap: use a span or a buffer");
                }
            },
            OperationKind.ArrayCreation);

        context.RegisterOperationAction(
            found =>
            {
                if (found.Operation.Type is not { IsRefLikeType: true })
                {
                    Report(found, "this collection expression allocates, and there is no heap");
                }
            },
            OperationKind.CollectionExpression);

        context.RegisterOperationAction(
            found => Report(found, "a lambda is an object: use a function pointer or a struct type parameter"),
            OperationKind.AnonymousFunction);

        context.RegisterOperationAction(
            found =>
            {
                if (((IDelegateCreationOperation)found.Operation).Target is IMethodReferenceOperation)
                {
                    Report(found, "a delegate is an object: use a function pointer or a struct type parameter");
                }
            },
            OperationKind.DelegateCreation);

        context.RegisterOperationAction(
            found =>
            {
                if (!found.Operation.ConstantValue.HasValue)
                {
                    Report(found, "this builds a string, and there is no heap");
                }
            },
            OperationKind.InterpolatedString);

        context.RegisterOperationAction(
            found =>
            {
                // Of a chain only the outermost is said.
                if (found.Operation is { Type.SpecialType: SpecialType.System_String, ConstantValue.HasValue: false }
                    and not { Parent: IBinaryOperation { Type.SpecialType: SpecialType.System_String } })
                {
                    Report(found, "this builds a string, and there is no heap");
                }
            },
            OperationKind.Binary,
            OperationKind.CompoundAssignment);

        context.RegisterOperationAction(
            found =>
            {
                if (((IConversionOperation)found.Operation).GetConversion().IsBoxing)
                {
                    Report(found, "this boxes a value, and there is no heap");
                }
            },
            OperationKind.Conversion);
    }

    private static void RegisterDispatch(AnalysisContext context)
    {
        context.RegisterOperationAction(
            found =>
            {
                (IOperation? instance, ISymbol member) = found.Operation switch
                {
                    IInvocationOperation call => (call.Instance, (ISymbol)call.TargetMethod),
                    IPropertyReferenceOperation property => (property.Instance, property.Property),
                    _ => throw new System.InvalidOperationException("an operation that was not asked for"),
                };
                if (instance?.Type is not { } type)
                {
                    return;
                }

                if (type.TypeKind == TypeKind.Interface)
                {
                    Report(found, "this is an interface call: take the type as a struct type parameter");
                }
                else if ((type.IsValueType || type.TypeKind == TypeKind.TypeParameter)
                    && member.ContainingType is { IsReferenceType: true, TypeKind: TypeKind.Class })
                {
                    Report(found, $"{member.Name} comes from {member.ContainingType.Name}: to call it boxes the value");
                }
            },
            OperationKind.Invocation,
            OperationKind.PropertyReference);

        context.RegisterOperationAction(
            found =>
            {
                if (found.Operation is IForEachLoopOperation { Syntax: CommonForEachStatementSyntax syntax } loop
                    && loop.SemanticModel!.GetForEachStatementInfo(syntax).GetEnumeratorMethod is { } method
                    // Over a span the compiler counts an index and uses no enumerator.
                    && method.ContainingType is not { Name: "Span" or "ReadOnlySpan" }
                    && (method.ReturnType.IsReferenceType
                        || method.ReturnType.AllInterfaces.Any(i => i.SpecialType == SpecialType.System_IDisposable)))
                {
                    Report(found, "this enumerator is an object or must be disposed of: use an index or a span");
                }
            },
            OperationKind.Loop);

        context.RegisterOperationAction(
            found =>
            {
                var local = (IVariableDeclaratorOperation)found.Operation;
                CheckType(found.ReportDiagnostic, local.Symbol, local.Symbol.Type);
            },
            OperationKind.VariableDeclarator);

        context.RegisterOperationAction(
            found => Report(found, "dynamic binding needs the runtime"),
            OperationKind.DynamicInvocation,
            OperationKind.DynamicMemberReference,
            OperationKind.DynamicObjectCreation,
            OperationKind.DynamicIndexerAccess);

        context.RegisterSymbolAction(
            found =>
            {
                switch (found.Symbol)
                {
                    case IFieldSymbol field:
                        CheckType(found.ReportDiagnostic, field, field.Type);
                        break;
                    case IPropertySymbol property:
                        CheckType(found.ReportDiagnostic, property, property.Type);
                        foreach (IParameterSymbol parameter in property.Parameters)
                        {
                            CheckType(found.ReportDiagnostic, parameter, parameter.Type);
                        }

                        break;
                    // An accessor's types are its property's.
                    case IMethodSymbol { AssociatedSymbol: null } method:
                        CheckType(found.ReportDiagnostic, method, method.ReturnType);
                        foreach (IParameterSymbol parameter in method.Parameters)
                        {
                            CheckType(found.ReportDiagnostic, parameter, parameter.Type);
                        }

                        if (method.IsAsync)
                        {
                            Report(found.ReportDiagnostic, method.Locations[0], "there is no scheduler to await with");
                        }

                        break;
                }
            },
            SymbolKind.Field,
            SymbolKind.Property,
            SymbolKind.Method);
    }

    private static void RegisterStatics(AnalysisContext context)
    {
        context.RegisterOperationAction(
            found =>
            {
                var initializer = (ISymbolInitializerOperation)found.Operation;
                bool isStatic = initializer switch
                {
                    IFieldInitializerOperation field => field.InitializedFields.Any(f => f.IsStatic),
                    IPropertyInitializerOperation property => property.InitializedProperties.Any(p => p.IsStatic),
                    _ => false,
                };
                if (isStatic && !IsConstant(initializer.Value))
                {
                    Report(found, "this initialiser makes a static constructor: only constants and default are data");
                }
            },
            OperationKind.FieldInitializer,
            OperationKind.PropertyInitializer);
    }

    /// <summary>Whether the compiler makes read-only data of it: constants, seen through a read-only span.</summary>
    private static bool IsConstantData(IArrayCreationOperation array) =>
        array.Parent is IConversionOperation { Type: INamedTypeSymbol { Name: "ReadOnlySpan" } }
        && array.Initializer is { } initializer
        && initializer.ElementValues.All(value => value.ConstantValue.HasValue);

    private static bool IsConstant(IOperation value) => value switch
    {
        { ConstantValue.HasValue: true } or IDefaultValueOperation => true,
        IConversionOperation conversion => IsConstant(conversion.Operand),
        // A parameterless struct constructor that the source does not declare is default.
        IObjectCreationOperation { Type.IsValueType: true, Constructor.IsImplicitlyDeclared: true } created =>
            created.Initializer is null,
        _ => false,
    };

    private static void CheckType(System.Action<Diagnostic> report, ISymbol symbol, ITypeSymbol type)
    {
        if (symbol.IsImplicitlyDeclared || symbol.Locations.Length == 0)
        {
            return;
        }

        if (type.TypeKind == TypeKind.Interface)
        {
            Report(report, symbol.Locations[0],
                $"{symbol.Name} is an interface, whose calls are dispatched: take the type as a struct type parameter");
        }
        else if (type.TypeKind == TypeKind.Dynamic)
        {
            Report(report, symbol.Locations[0], "dynamic binding needs the runtime");
        }
    }

    private static void Report(OperationAnalysisContext context, string reason) =>
        Report(context.ReportDiagnostic, context.Operation.Syntax.GetLocation(), reason);

    private static void Report(System.Action<Diagnostic> report, Location location, string reason) =>
        report(Diagnostic.Create(Rule, location, reason));
}
