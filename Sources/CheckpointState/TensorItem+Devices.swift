extension Array where Element == TensorItem {
    /// The devices of these tensors, each once, in the order of first use.
    package var devices: [any TensorDevice] {
        var devices: [any TensorDevice] = []
        for tensor in self {
            guard let device = tensor.view.memory.device,
                !devices.contains(where: { $0 === device })
            else { continue }
            devices.append(device)
        }
        return devices
    }

    /// Orders copies from and to these tensors after all work that the trainer has submitted.
    ///
    /// - Throws: `DeviceError`, if a device refuses.
    package func orderCopiesAfterTrainer() throws(DeviceError) {
        for device in devices { try device.orderCopiesAfterTrainer() }
    }
}
