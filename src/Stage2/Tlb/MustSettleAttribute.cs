using System;

namespace Quietus.Stage2;

/// <summary>
/// A value of this type is an obligation: its receiver settles it or hands it on. An analyzer makes it a build
/// error to discard one.
/// </summary>
[AttributeUsage(AttributeTargets.Struct)]
public sealed class MustSettleAttribute : Attribute;
