//! What a function that changes one thing about another leaves as it is. It must not know which function that is.

/// The methods of `ScalarUDFImpl` that answer for `self.inner`.
macro_rules! as_inner {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn aliases(&self) -> &[String] {
            self.inner.aliases()
        }

        fn signature(&self) -> &datafusion::logical_expr::Signature {
            self.inner.signature()
        }

        fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
            self.inner.coerce_types(args)
        }

        fn return_type(&self, args: &[DataType]) -> Result<DataType> {
            self.inner.return_type(args)
        }
    };
}

pub(super) use as_inner;
