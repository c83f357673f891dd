namespace System
{
    public enum AttributeTargets
    {
        Assembly = 0x0001,
        Module = 0x0002,
        Class = 0x0004,
        Struct = 0x0008,
        Enum = 0x0010,
        Constructor = 0x0020,
        Method = 0x0040,
        Property = 0x0080,
        Field = 0x0100,
        Event = 0x0200,
        Interface = 0x0400,
        Parameter = 0x0800,
        Delegate = 0x1000,
        ReturnValue = 0x2000,
        GenericParameter = 0x4000,
        All = 0x7FFF,
    }

    public sealed class AttributeUsageAttribute(AttributeTargets validOn) : Attribute
    {
        public AttributeTargets ValidOn { get; } = validOn;

        public bool AllowMultiple { get; set; }

        public bool Inherited { get; set; }
    }

    public sealed class FlagsAttribute : Attribute;

    public sealed class ObsoleteAttribute(string message) : Attribute
    {
        public string Message { get; } = message;
    }

    public sealed class ParamArrayAttribute : Attribute;
}

namespace System.Runtime.Versioning
{
    public sealed class TargetFrameworkAttribute(string name) : Attribute
    {
        public string FrameworkName { get; } = name;

        public string? FrameworkDisplayName { get; set; }
    }
}

namespace System.Diagnostics.CodeAnalysis
{
    public sealed class UnscopedRefAttribute : Attribute;

    public sealed class DoesNotReturnAttribute : Attribute;
}

namespace System.Reflection
{
    public sealed class DefaultMemberAttribute(string memberName) : Attribute
    {
        public string MemberName { get; } = memberName;
    }
}

namespace System.Runtime.InteropServices
{
    public sealed class InAttribute : Attribute;

    public sealed class OutAttribute : Attribute;

    public sealed class UnmanagedType;

    public enum LayoutKind
    {
        Sequential = 0,
        Explicit = 2,
        Auto = 3,
    }

    public sealed class StructLayoutAttribute(LayoutKind kind) : Attribute
    {
        public LayoutKind Value { get; } = kind;

        public int Pack;
        public int Size;
    }

    public sealed class FieldOffsetAttribute(int offset) : Attribute
    {
        public int Value { get; } = offset;
    }
}

namespace System.Runtime
{
    /// <summary>Names the native symbol that a method without a body calls. ILC matches the type by name.</summary>
    public sealed class RuntimeImportAttribute(string dll, string entry) : Attribute
    {
        public string Dll { get; } = dll;

        public string EntryPoint { get; } = entry;
    }

    /// <summary>Gives a method a native symbol and keeps it in the image. ILC matches the type by name.</summary>
    public sealed class RuntimeExportAttribute(string entry) : Attribute
    {
        public string EntryPoint { get; } = entry;
    }
}

namespace System.Runtime.CompilerServices
{
    public sealed class IntrinsicAttribute : Attribute;

    public sealed class CompilerGeneratedAttribute : Attribute;

    public sealed class IsReadOnlyAttribute : Attribute;

    public sealed class IsByRefLikeAttribute : Attribute;

    public sealed class IsUnmanagedAttribute : Attribute;

    public sealed class IsVolatile;

    public sealed class RequiredMemberAttribute : Attribute;

    public sealed class ScopedRefAttribute : Attribute;

    public sealed class SkipLocalsInitAttribute : Attribute;

    public sealed class IsExternalInit;

    public sealed class ExtensionAttribute : Attribute;

    public sealed class UnsafeValueTypeAttribute : Attribute;

    public sealed class RefSafetyRulesAttribute(int version) : Attribute
    {
        public int Version { get; } = version;
    }

    public sealed class FixedBufferAttribute(Type elementType, int length) : Attribute
    {
        public Type ElementType { get; } = elementType;

        public int Length { get; } = length;
    }

    public sealed class InlineArrayAttribute(int length) : Attribute
    {
        public int Length { get; } = length;
    }

    public sealed class CompilerFeatureRequiredAttribute(string featureName) : Attribute
    {
        public string FeatureName { get; } = featureName;

        public bool IsOptional { get; set; }
    }

    public sealed class InternalsVisibleToAttribute(string assemblyName) : Attribute
    {
        public string AssemblyName { get; } = assemblyName;
    }

    public enum MethodImplOptions
    {
        NoInlining = 0x0008,
        AggressiveInlining = 0x0100,
        AggressiveOptimization = 0x0200,
        InternalCall = 0x1000,
    }

    public sealed class MethodImplAttribute(MethodImplOptions options) : Attribute
    {
        public MethodImplOptions Value { get; } = options;
    }

    /// <summary>What the compiler may assume of the runtime underneath: it looks for these names.</summary>
    public static class RuntimeFeature
    {
        public const string PortablePdb = nameof(PortablePdb);
        public const string DefaultImplementationsOfInterfaces = nameof(DefaultImplementationsOfInterfaces);
        public const string VirtualStaticsInInterfaces = nameof(VirtualStaticsInInterfaces);
        public const string UnmanagedSignatureCallingConvention = nameof(UnmanagedSignatureCallingConvention);
        public const string ByRefFields = nameof(ByRefFields);
        public const string ByRefLikeGenerics = nameof(ByRefLikeGenerics);
        public const string NumericIntPtr = nameof(NumericIntPtr);
    }

    public static class RuntimeHelpers
    {
        /// <summary>A span over constant data in the image; the compiler replaces the call.</summary>
        [Intrinsic]
        public static ReadOnlySpan<T> CreateSpan<T>(RuntimeFieldHandle field) => default;

        [Intrinsic]
        public static bool IsReferenceOrContainsReferences<T>() where T : allows ref struct => false;
    }
}
