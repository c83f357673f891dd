using Quietus.Stage2;

namespace Quietus.Testing;

/// <summary>Attributes that tests map by, beside those that the product has.</summary>
public static class LeafAttributesForTests
{
    extension(LeafAttributes attributes)
    {
        /// <summary>Guest memory that may not be written.</summary>
        public static LeafAttributes ReadOnlyGuestMemory => new(true, false, false, MemoryType.NormalWriteBack);

        /// <summary>A device's registers: readable, writable, never executable.</summary>
        public static LeafAttributes DeviceMemory => new(true, true, true, MemoryType.Device);

        /// <summary>These attributes with the permissions of <paramref name="other"/>.</summary>
        public LeafAttributes WithPermissionsOf(LeafAttributes other) => new(
            (attributes.Bits & ~LeafAttributes.PermissionBits) | (other.Bits & LeafAttributes.PermissionBits));
    }
}
